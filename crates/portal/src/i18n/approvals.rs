//! Approvals.

super::messages! {
    /// What needs a second person, and who agreed.
    Approvals {
        title: "核准", "Approvals";
        lead: "需要第二人同意的事：看清楚會發生什麼，再決定。", "What needs a second person: look at what exactly would happen, then decide.";
        to_decide: "等您決定", "For you to decide";
        mine: "我請求的", "Asked for by me";
        all: "全部", "All";
        none: "沒有請求", "Nothing is asked";
        none_body: "有人請您核准時，會出現在這裡，也會寄信給您。", "When somebody asks for your approval it stands here, and you are sent a mail.";
        what: "內容", "What";
        about: "對象", "About";
        asked_by: "請求者", "Asked by";
        until: "期限", "Until";
        asked_at: "請求時間", "Asked";
        why: "理由", "Why";
        why_hint: "決定的人會看到；也會寫入稽核紀錄。", "Whoever decides reads it; it goes on the audit log, too.";
        exactly: "會發生的事", "What exactly would happen";
        exactly_body: "核准後，會以請求者的名義執行這個動作與這些值，只有一次。", "When you approve, this action is done with these values and nothing else, once, in the name of whoever asked.";
        action: "動作", "Action";
        differences: "變更的地方", "What changes";
        attribute: "項目", "Attribute";
        was: "現在", "Now";
        becomes: "改成", "Then";
        seen: "對象目前的狀態", "What it is now";
        approve: "核准並執行", "Approve and do it";
        decline: "拒絕", "Decline";
        withdraw: "撤回請求", "Withdraw";
        note: "備註", "Note";
        own: "這是您請求的，須由另一個人決定。", "You asked for this: another person decides.";
        not_entitled: "您本身須有權做這件事（且已滿一天），才能核准。", "To approve you must be entitled to do the same yourself, and have been for a day.";
        decided_by: "決定者", "Decided by";
        decided_at: "決定時間", "Decided";
        digest: "內容雜湊（SHA-256）", "Hash of all of it (SHA-256)";
        problem: "已核准，但無法執行；未做任何變更", "It was approved and could not be done; nothing was changed";
        done: "已核准並執行。", "Approved, and done.";
        asked: "已送出請求，等待另一個人核准。", "Asked: another person decides now.";
        ask_title: "這需要第二個人同意", "This needs a second person";
        ask_lead: "您的組織規定這件事須由另一個人核准。寫下理由，就能以相同的內容提出請求。", "Your organisation has it that another person agrees to this first. Say why, and exactly this is asked for.";
        ask: "請求核准", "Ask for approval";
        rule: "雙人規則", "Two-person rule";
        rule_lead: "勾選的動作須由第二個人核准。加嚴隨時可以；放寬本身也須第二個人核准。", "What is ticked needs a second person's approval. One person can make the rule stricter; to loosen it takes a second one.";
        rule_actions: "須由第二個人核准的動作", "What needs a second person";
        rule_able: "目前 {} 人可做", "{} could do it now";
        rule_above: "上層組織已規定", "required from above";
        rule_by_provider: "由服務商人員執行", "done by your provider's staff";
        rule_usual: "建議", "recommended";
        rule_settling: "新授予的角色須滿 {} 小時，才算數。", "A role counts for approving once it has been held for {} hours.";
        persons: "同一個人的帳號", "Accounts of one person";
        persons_lead: "同一個人的帳號不能互相核准。", "Neither of one person's accounts approves what the other asks for.";
        one: "帳號", "Account";
        other: "另一個帳號", "Another account";
        link: "這是同一個人", "They are one person";
        unlink: "不是同一個人", "They are not";
        ending: "已撤回，一天後生效", "taken back; counts for a day still";
    }
}

//! Service accounts.

super::messages! {
    /// Programs, who answers for them, and their keys.
    ServiceAccounts {
        title: "服務帳號", "Service accounts";
        lead: "給程式使用的帳號：不能登入，只能用會到期、限定範圍的金鑰。每個帳號都有一位負責人。", "Accounts for programs. They cannot sign in; they have keys that end and are for what you name. A person answers for each.";
        empty: "還沒有服務帳號", "No service accounts yet";
        empty_body: "為自動化的程式建立一個，就不必使用個人的權杖。", "Make one for a program, so that it need not use a person's token.";
        new: "新增服務帳號", "New service account";
        edit: "編輯", "Edit";
        name: "名稱", "Name";
        name_hint: "例如「部署流程」。", "For example “Deploy pipeline”.";
        purpose: "用途", "What it is for";
        responsible: "負責人", "Answers for it";
        responsible_hint: "這個人要知道它在做什麼、金鑰放在哪裡。", "Somebody who knows what it does and where its keys are.";
        without_owner: "沒有負責人", "Without an owner";
        without_owner_body: "原本的負責人已離開、停用或不再有角色。金鑰仍然有效；請指定新的負責人，或移除這個帳號。", "Who answered for it has left, is suspended or has no role here any more. Its keys go on working: name somebody else, or remove it.";
        sensitive_text: "金鑰可以用於敏感操作：變更成員、角色、權杖與金鑰", "Its keys may be for sensitive actions: those that change members, roles, tokens and keys";
        sensitive_yes: "金鑰可以用於敏感操作", "its keys may be for them";
        sensitive_no: "不可以", "none of its keys does them";
        keys: "金鑰", "Keys";
        keys_empty: "還沒有金鑰", "No keys yet";
        keys_empty_body: "沒有金鑰，這個帳號什麼都不能做。", "Without one the account can do nothing.";
        key_new: "建立金鑰", "Make a key";
        key_name: "金鑰用途", "What the key is for";
        key_name_hint: "例如「CI 伺服器」。", "For example “CI server”.";
        reach: "可以做什麼", "What it may do";
        reach_some: "只有下列範圍", "Only these scopes";
        reach_some_note: "最安全", "safest";
        reach_read: "角色能查看的一切", "Read all that its roles may";
        reach_write: "角色能做的一切", "All that its roles may";
        scopes: "範圍", "Scopes";
        scopes_hint: "一行一個：service.reboot（一個動作）、service:read（查看）、service:write（查看與變更）。金鑰只能做範圍與角色都允許的事。", "One a line: service.reboot (one action), service:read (looks), service:write (looks and changes). A key does what its scopes and its roles both allow.";
        networks: "來源網段", "Networks";
        networks_hint: "一行一個，例如 192.0.2.0/24；留空則不限制。", "One a line, such as 192.0.2.0/24; anywhere where left empty.";
        anywhere: "不限", "anywhere";
        once_title: "請現在複製金鑰", "Copy the key now";
        once_body: "這是唯一一次顯示；我們只保存它的雜湊值。", "This is the only time it is shown. We keep nothing but its hash.";
        rotate: "輪替", "Rotate";
        rotate_note: "輪替會建立一把相同範圍的新金鑰；舊金鑰還能再用 24 小時，讓您有時間更換。", "Rotating makes a new key for the same. The old one works for another 24 hours, so that you can change over.";
        replaced: "已輪替", "replaced";
        over: "已到期", "over";
        stop: "停用或移除", "Suspend or remove";
        stop_note: "停用後所有金鑰立即失效，恢復後可再使用。移除後無法復原。", "While it is suspended none of its keys works; they do again when it is resumed. Removing is for good.";
        suspend: "停用", "Suspend";
        resume: "恢復", "Resume";
        remove_title: "移除服務帳號「{}」？", "Remove the service account {}?";
        remove_body: "它的角色與所有金鑰會立即失效，無法復原。過去的活動紀錄會保留。", "Its roles and all its keys end at once and for good. Its past activity stays on record.";
    }
}

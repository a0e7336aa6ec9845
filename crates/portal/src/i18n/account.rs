//! Members, activity, tokens and sessions.

super::messages! {
    /// People and their keys.
    Account {
        account_title: "您的帳號", "Your account";
        about_you: "個人資料", "About you";
        own_name: "姓名", "Your name";
        locale_hint: "頁面與信件使用的語言。", "Pages and mails speak it.";
        password_change: "更換密碼", "Change your password";
        password_change_lead: "其他裝置上的登入會全部結束。", "You stay signed in here and are signed out everywhere else.";
        password_now: "目前的密碼", "Present password";
        password_changed: "密碼已更換，其他裝置已登出。", "Your password has been changed, and you are signed out everywhere else.";
        sessions_short: "查看與結束登入", "See and end where you are signed in";
        tokens_short: "命令列與程式的金鑰", "Keys for the command line and programs";
        person_name: "姓名", "Name";
        stranger_actor: "未登入的人", "Somebody not signed in";
        staff_actor: "營運人員", "The operator's staff";
        host_actor: "主機 {}", "host {}";
        members_lead: "誰可以用您的組織做什麼。", "Who may do what in your organisation.";
        person: "人員", "Person";
        role: "角色", "Role";
        roles: "角色", "Roles";
        last_sign_in: "最近登入", "Last signed in";
        never: "從未", "Never";
        you: "您", "you";
        invite: "邀請成員", "Invite somebody";
        invite_lead: "我們會寄出一封邀請信，連結七天內有效。", "We send them a link that works for seven days.";
        send_invitation: "寄出邀請", "Send invitation";
        invited_ok: "邀請已寄出。", "The invitation has been sent.";
        invited_already: "這位已經邀請過了。您可以撤回後重新邀請。", "This person has been invited already. Withdraw that invitation to send a new one.";
        joined_already: "這位已經是成員。", "This person is a member already.";
        last_keeper: "組織至少要有一位能管理成員的人。", "Somebody must be left who can manage members.";
        invitations: "等待接受的邀請", "Invitations not yet accepted";
        expires: "到期", "Expires";
        withdraw: "撤回", "Withdraw";
        withdrawn_ok: "邀請已撤回。", "The invitation has been withdrawn.";
        change_role: "變更角色", "Change role";
        role_changed: "角色已變更。", "The role has been changed.";
        remove: "移除", "Remove";
        remove_title: "移除 {}？", "Remove {}?";
        remove_body: "這個人會立即登出，無法再進入您的組織；API 權杖也會失效。過去的活動紀錄會保留。", "They are signed out at once and can no longer enter your organisation; their API tokens stop working. Their past activity stays on record.";
        removed_ok: "成員已移除。", "The member has been removed.";
        staff_title: "可以看到您資料的營運人員", "Operator staff who can see your data";
        staff_lead: "只有下列人員能進入您的組織提供支援，他們的每個動作都在您的活動紀錄裡。", "Only these people can enter your organisation to give support. Everything they do is in your activity.";
        staff_none: "目前沒有營運人員能看到您的資料。", "At present nobody of the operator's staff can see your data.";
        role_owner: "擁有者", "Owner";
        role_owner_note: "管理成員、訂購與帳單", "Manages members, orders and bills";
        role_member: "成員", "Member";
        role_member_note: "訂購並管理服務", "Orders and manages services";
        role_billing_viewer: "帳單檢視者", "Billing viewer";
        role_billing_viewer_note: "只能查看帳單", "Sees bills only";
        role_viewer: "檢視者", "Viewer";
        role_viewer_note: "只能查看", "Looks, changes nothing";
        role_administrator: "系統管理員", "Administrator";
        role_administrator_note: "管理帳號、權杖與租戶", "Accounts, tokens, tenants and all else";
        role_operations: "維運人員", "Operations";
        role_operations_note: "主機、資源池與流程", "Hosts, pools and flows";
        role_product_manager: "產品經理", "Product manager";
        role_product_manager_note: "型錄與方案", "The catalog";
        role_billing_clerk: "帳務人員", "Billing clerk";
        role_billing_clerk_note: "用量與帳單", "Usage and bills";
        role_auditor: "稽核人員", "Auditor";
        role_auditor_note: "查看稽核紀錄與所有資料", "Reads the audit log and everything readable";
        role_support: "客服支援", "Support";
        role_support_note: "可進入客戶的組織，客戶看得到", "May enter customers' tenants; the customer sees who";

        activity_lead: "您的組織裡發生過的每一個動作，無法竄改。", "Everything done in your organisation, on a record nobody can bend.";
        activity_empty: "還沒有活動", "No activity yet";
        when: "時間", "When";
        who: "人員", "Who";
        action: "動作", "Action";
        object: "對象", "Object";
        system_actor: "系統", "The system";
        result: "結果", "Result";

        tokens_lead: "給程式使用的金鑰。權杖擁有您的權限，請妥善保管。", "Keys for programs. A token can do what you can: keep it safe.";
        tokens_empty: "還沒有權杖", "No tokens yet";
        tokens_empty_body: "建立一個權杖，就能用命令列或 API 操作。", "Create one to use the command line or the API.";
        token_create: "建立權杖", "Create a token";
        token_name: "用途", "What it is for";
        token_name_hint: "例如「CI 部署」。日後撤銷時，您會需要認得它。", "For example “CI deploy”. You will want to recognise it when you revoke it.";
        token_expires: "有效期間", "Valid for";
        days: "{} 天", "{} days";
        token_once_title: "請現在複製權杖", "Copy the token now";
        token_once_body: "這是唯一一次顯示。離開此頁後就無法再看到，我們只保存它的雜湊值。", "This is the only time it is shown. We keep nothing but its hash.";
        token_copied: "我已保存好", "I have kept it";
        token_use: "在命令列使用", "Use it on the command line";
        last_used: "最近使用", "Last used";
        revoke: "撤銷", "Revoke";
        revoke_title: "撤銷「{}」？", "Revoke “{}”?";
        revoke_body: "使用這個權杖的程式會立即失去存取權。", "Programs that use it lose access at once.";
        revoked_ok: "權杖已撤銷。", "The token has been revoked.";

        sessions_lead: "您目前登入的裝置。看到不認得的，請立即結束它並更換密碼。", "Where you are signed in. If you do not recognise one, end it and change your password.";
        this_device: "目前裝置", "This device";
        from_address: "來自 {}", "from {}";
        started: "登入時間", "Signed in";
        last_active: "最近活動", "Last active";
        end: "結束", "End";
        end_others: "結束其他所有登入", "End all the others";
        ended_ok: "登入已結束。", "The session has been ended.";
    }
}

//! Second factors, showing anew who one is, and sign-in rules.

super::messages! {
    /// The second step of signing in, and what goes with it.
    Factors {
        title: "兩步驟驗證", "Two-step sign-in";
        lead: "登入時除了密碼，還要輸入手機上每 30 秒更新的驗證碼。密碼外洩時，別人仍然無法登入。", "Besides your password, signing in asks for a code that your phone shows and changes every 30 seconds. A stolen password alone then opens nothing.";
        short: "加上驗證碼，保護您的帳號", "Protect your account with codes";
        required: "您的組織要求您的角色使用兩步驟驗證。完成設定後即可繼續。", "Your organisation asks people in your role for a second factor. Enrol one, then go on.";
        none: "尚未設定", "Not set up yet";
        none_body: "準備好手機上的驗證器應用程式（例如 Aegis、FreeOTP、Google Authenticator），然後開始設定。", "Have an authenticator app at hand (Aegis, FreeOTP, Google Authenticator, say) and begin.";
        added: "加入時間", "Added";
        last_used: "最近使用", "Last used";
        remove: "移除", "Remove";
        remove_title: "移除「{}」？", "Remove “{}”?";
        remove_body: "這個驗證器的驗證碼會立即失效。移除最後一個之後，登入只需要密碼，復原碼也會失效。", "Its codes stop working at once. Without any left, your password alone signs you in, and the recovery codes are void.";
        removed_ok: "驗證方式已移除。", "The second factor has been removed.";
        add: "加入驗證器", "Add an authenticator app";
        name: "名稱", "Name";
        name_hint: "例如「我的手機」，方便日後辨認。", "For example “My phone”, to recognise it by.";
        begin: "開始設定", "Begin";
        scan_title: "掃描條碼", "Scan the code";
        scan_lead: "用驗證器應用程式掃描，再輸入它顯示的六位數驗證碼。", "Scan it with your authenticator app, then enter the six digits that it shows.";
        qr: "給驗證器應用程式掃描的 QR 條碼", "QR code for your authenticator app";
        by_hand: "無法掃描？手動輸入這組密鑰", "Cannot scan? Type in this secret";
        by_link: "這台裝置上有驗證器？開啟這個連結", "Is the app on this device? Open this link";
        code: "驗證碼", "Code";
        code_hint: "驗證器顯示的六位數字。", "The six digits that your app shows.";
        activate: "啟用", "Turn it on";
        activated_ok: "驗證方式已啟用。", "The second factor is in use.";
        codes_title: "請現在保存復原碼", "Keep your recovery codes now";
        codes_body: "遺失手機時，每一組復原碼可以代替驗證碼登入一次。這是唯一一次顯示；請列印或抄寫，並與手機分開存放。", "If you lose your phone, each of these signs you in once instead of a code. They are shown only now: print them or write them down, and keep them away from the phone.";
        codes_kept: "我已保存好", "I have kept them";
        codes_left: "還有 {} 組復原碼可用。", "{} recovery codes are left.";
        codes_renew: "重新產生復原碼", "Make new recovery codes";
        codes_renew_note: "舊的復原碼會全部失效。", "All the old ones become void.";
        sign_in_title: "輸入驗證碼", "Enter your code";
        sign_in_body: "輸入驗證器顯示的六位數驗證碼，或一組復原碼。", "Enter the six digits that your authenticator shows, or a recovery code.";
        sign_in_go: "繼續", "Go on";
        wrong: "驗證碼不正確，或已經用過；請等下一組再試。", "That code is not right, or was used already. Wait for the next one and try again.";
        password_wrong: "密碼不正確。", "The password is not right.";
        slow: "嘗試次數過多，請於 {} 後再試。", "Too many attempts. Try again in {}.";
        over: "這次登入已逾時，請重新輸入密碼。", "That sign-in took too long. Begin again with your password.";
        step_title: "請確認是您本人", "Confirm that it is you";
        step_body_code: "這個操作會影響存取權限或金鑰。請輸入驗證器的驗證碼或一組復原碼，然後會繼續您剛才的操作；十分鐘內不會再問。", "This touches access or keys. Enter a code of your authenticator, or a recovery code, and what you asked for goes on. You will not be asked again for ten minutes.";
        step_body_password: "這個操作會影響存取權限或金鑰。請輸入您的密碼，然後會繼續您剛才的操作；十分鐘內不會再問。", "This touches access or keys. Enter your password, and what you asked for goes on. You will not be asked again for ten minutes.";
        step_again: "確認後，請再做一次剛才的操作。", "Confirm, then repeat what you were doing.";
        confirmed: "已確認是您本人。", "Confirmed.";
        strength: "登入方式", "Signed in with";
        with_password: "密碼", "Password";
        with_code: "密碼與驗證碼", "Password and code";
        with_recovery: "密碼與復原碼", "Password and recovery code";
        reset: "重設驗證", "Reset factors";
        reset_title: "重設 {} 的兩步驟驗證？", "Reset the second factors of {}?";
        reset_body: "只在對方遺失驗證器與復原碼時使用，並先確認真的是本人。對方的所有登入會立即結束，並收到通知信；之後只憑密碼即可登入並重新設定。", "For somebody who has lost both the authenticator and the recovery codes. Be sure that it is really them. All their sessions end at once and they are told by mail; the password alone then lets them in to enrol anew.";
        reset_reason: "您如何確認是本人？", "How do you know that it is them?";
        reset_reason_hint: "例如「當面核對證件」。對方會在信中看到。", "For example “seen in person”. They will read it in the mail.";
        reset_ok: "兩步驟驗證已重設。", "The second factors have been reset.";
        rules: "登入規則", "Sign-in rules";
        rules_lead: "組織對成員登入的要求，也適用於下層組織。上層更嚴格的要求仍然有效。", "What your organisation asks of its people's sign-ins, and of those below it. Stricter rules from above hold as well.";
        rules_factor: "必須使用兩步驟驗證的角色", "Roles that must use two-step sign-in";
        rules_factor_hint: "這些角色的人若尚未設定，登入後必須先完成設定。", "Whoever holds one of these and has no second factor must enrol one right after signing in.";
        rules_idle: "閒置多久後登出", "Sign out when idle for";
        rules_session: "最長登入時間", "Sign out in any case after";
        rules_history: "不可重複使用最近的密碼", "Last passwords that may not be used again";
        rules_history_none: "不限制", "no rule";
        rules_in_force: "目前實際生效：閒置 {}，最長 {}。", "In force at present: idle {}, at most {}.";
        sensitive: "敏感操作", "Sensitive actions";
        sensitive_text: "也可以變更成員、角色、權杖與金鑰", "May also change members, roles, tokens and keys";
        sensitive_tag: "敏感操作", "sensitive";
    }
}

//! Sign-in, invitation, forgotten and new password.

super::messages! {
    /// The pages before somebody is known.
    Door {
        motto: "賣出的每一項服務，都證明過救得回來。", "Every service you sell is one you have proven you can bring back.";
        motto_more: "銷售、開通、計費、守護與復原，在同一個地方。", "Sell, provision, bill, protect and recover, in one place.";
        sign_in: "登入", "Sign in";
        sign_in_title: "登入雲維", "Sign in to Yunwei";
        email: "電子郵件", "Email address";
        password: "密碼", "Password";
        forgot: "忘記密碼？", "Forgotten your password?";
        sign_in_wrong: "電子郵件或密碼不正確。請確認後再試一次。", "The email address or the password is not right. Check both and try again.";
        session_over: "您的登入已逾時，請重新登入。", "Your session has ended. Please sign in again.";
        invite_title: "加入 {}", "Join {}";
        sign_in_slow: "嘗試次數過多，請於 {} 後再試。", "Too many attempts. Try again in {}.";
        account_suspended: "這個帳號已停用，請洽您組織的管理者。", "This account is suspended. Ask an administrator of your organisation.";
        invite_body: "邀請給 {}，角色為「{}」。設定密碼後即可開始使用。", "For {}, as {}. Choose a password to begin.";
        invite_known: "邀請給 {}，角色為「{}」。您已有帳號，接受後以原本的密碼登入。", "For {}, as {}. You have an account already: accept, and sign in as before.";
        joined: "您已加入，請登入。", "You have joined. Sign in to begin.";
        email_wrong: "請輸入完整的電子郵件，例如 name@example.com", "Enter a whole email address, for example name@example.com";
        password_short: "密碼太短，至少要 12 個字元", "The password is too short: use at least 12 characters";
        password_long: "密碼太長", "The password is too long";
        your_name: "您的姓名", "Your name";
        new_password: "新密碼", "New password";
        password_hint: "至少 12 個字元。幾個不相干的詞連在一起，好記又安全。", "At least 12 characters. A few unrelated words together are strong and easy to remember.";
        repeat_password: "再輸入一次", "Repeat the password";
        repeat_differs: "兩次輸入的密碼不同", "The two passwords differ";
        accept: "接受邀請", "Accept the invitation";
        invite_gone_title: "這個邀請已失效", "This invitation is no longer valid";
        invite_gone_body: "邀請可能已使用、已過期或被撤回。請邀請您的人再寄一次。", "It may have been used, expired or been withdrawn. Ask whoever invited you to send a new one.";
        forgot_title: "重設密碼", "Reset your password";
        forgot_body: "輸入您的電子郵件，我們會寄出重設連結。", "Enter your email address and we will send you a link.";
        send_link: "寄出連結", "Send the link";
        sent_title: "請查看您的信箱", "Check your mail";
        sent_body: "如果這個電子郵件有帳號，重設連結已在路上，一小時內有效。沒收到？請看看垃圾郵件匣。", "If there is an account for that address, a link is on its way. It works for one hour. Nothing there? Look into your spam folder.";
        reset_title: "設定新密碼", "Choose a new password";
        reset_body: "設定後，所有裝置上的登入都會結束。", "Afterwards you will be signed out on all devices.";
        reset: "設定密碼", "Set the password";
        reset_gone_title: "這個連結已失效", "This link is no longer valid";
        reset_gone_body: "連結只能使用一次，且一小時後過期。您可以再要求一個新的。", "Links work once and expire after an hour. You can ask for a new one.";
        reset_done: "密碼已更新，請用新密碼登入。", "Your password has been changed. Sign in with the new one.";
        back_to_sign_in: "回到登入", "Back to sign-in";
    }
}

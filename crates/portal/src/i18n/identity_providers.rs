//! Identity providers.

super::messages! {
    /// Where the organisation's people sign in, and one's own part there.
    IdentityProviders {
        title: "身分提供者", "Identity providers";
        lead: "讓成員用公司自己的登入系統（OpenID Connect）登入。", "Let your people sign in with your firm's own sign-in (OpenID Connect).";
        empty: "尚未設定", "None is set up";
        empty_body: "成員以密碼或通行金鑰登入。", "People sign in with passwords and passkeys.";
        new: "新增身分提供者", "Set one up";
        name: "名稱", "Name";
        name_hint: "成員登入時看到的名稱，例如公司名稱。", "What people read when they sign in, such as the firm's name.";
        issuer: "簽發者", "Issuer";
        issuer_hint: "與探索文件（/.well-known/openid-configuration）中的 issuer 完全相同。", "Exactly as its discovery document (/.well-known/openid-configuration) says it.";
        client: "用戶端 ID", "Client ID";
        client_hint: "在身分提供者登記這個平台時得到。", "From registering this platform there.";
        domain: "郵件網域", "Mail domain";
        domains: "郵件網域", "Mail domains";
        domains_hint: "一行一個。填寫後，只有這些網域的成員能登入。營運者確認後，輸入這些網域的電子郵件就會導向這裡。", "One a line. Where there are some, only people with addresses in them come in. Once the operator has confirmed one, its addresses lead here.";
        confirmed: "已確認", "confirmed";
        unconfirmed: "等待營運者確認", "to be confirmed by the operator";
        confirm: "確認屬於這個組織", "Confirm that it is theirs";
        redirect: "重新導向網址", "Redirect address";
        redirect_body: "請在身分提供者登記這個網址；每個身分提供者有自己的網址。", "Register this address at the provider. Each has one of its own.";
        secret: "用戶端密鑰", "Client secret";
        secret_lead: "密鑰會加密保存，不會再顯示。", "It is kept sealed, and never shown.";
        no_secret: "還沒有設定用戶端密鑰。", "The client secret has not been set.";
        button: "登入按鈕的網址", "Address of its button";
        settings: "設定", "Settings";
        scopes: "要求的範圍（scope）", "Scopes that are asked for";
        scopes_hint: "除了 openid 之外。", "Besides openid.";
        makes: "新成員", "People who come first";
        makes_text: "為已確認網域的人自動建立帳號", "Make accounts for people in confirmed domains";
        default_roles: "自動建立的帳號的角色", "Roles of accounts that are made so";
        groups_claim: "群組的宣告（claim）", "Claim that names groups";
        groups_claim_hint: "例如 groups。", "Such as groups.";
        group_roles: "群組與角色", "Groups and roles";
        group_roles_hint: "一行一個，例如 it-operations = member。每次登入時更新。", "One a line, such as it-operations = member. Followed at each sign-in.";
        passwords: "密碼", "Passwords";
        passwords_text: "已連結的成員仍可用密碼登入", "People who are connected may sign in with a password, too";
        amr: "代表兩步驟驗證的 amr 值", "Values of amr that stand for two factors";
        amr_hint: "例如 mfa。另外，登入規則也要承認身分提供者的兩步驟驗證。", "Such as mfa. The sign-in rules have to let them count, too.";
        acr: "代表兩步驟驗證的 acr 值", "Values of acr that stand for two factors";
        on: "使用中", "in use";
        off: "停用", "off";
        switch: "開啟、停用或移除", "Switch or remove";
        switch_body: "停用後，成員以密碼或通行金鑰登入；被取代的密碼會恢復有效。", "While it is off, people sign in with passwords and passkeys; passwords that it replaced work again.";
        turn_on: "開啟", "Switch on";
        turn_off: "停用", "Switch off";
        remove_title: "移除「{}」？", "Remove {}?";
        remove_body: "所有連結都會解除，它依群組給的角色也會收回。帳號會保留，但只用它登入的人需要重設密碼才能登入。", "What connects accounts with it is gone, and so are the roles that it gave. The accounts stay; whoever signed in with nothing else asks for a new password.";
        own: "公司登入", "Your firm's sign-in";
        own_short: "將帳號與公司的登入系統連結", "Connect your account with it";
        own_lead: "連結後，您可以用公司的登入系統登入這個帳號。", "Once it is connected you can sign in to this account with it.";
        own_empty: "您的組織沒有設定身分提供者", "Your organisation has set none up";
        own_empty_body: "請洽您組織的管理員。", "Ask an administrator of your organisation.";
        connected: "已連結", "Connected";
        not_connected: "尚未連結", "not connected";
        connect: "連結", "Connect";
        disconnect: "解除連結", "Disconnect";
        with: "用公司的登入系統登入", "Sign in with your organisation";
        with_one: "用「{}」登入", "Sign in with {}";
        otherwise: "以其他方式登入", "Sign in in another way";
        going: "前往「{}」登入", "On to {}";
        going_body: "您將前往公司的登入頁面，完成後會回到這裡。", "You sign in there, and come back here afterwards.";
        going_link: "繼續", "Go on";
        coming: "正在完成登入", "Signing you in";
        coming_body: "請稍候。", "One moment.";
        coming_link: "繼續", "Go on";
        none: "這個電子郵件沒有對應的公司登入系統，請用密碼登入。", "No organisation's sign-in is set up for that address. Use your password.";
        over: "這次登入已逾時、已完成，或不是從這個瀏覽器開始；請重新登入。", "That sign-in took too long, is done, or began in another browser. Begin again.";
        refused: "公司的登入系統沒有讓您登入，請再試一次或洽管理員。", "Your organisation's sign-in did not let you in. Try again, or ask an administrator.";
    }
}

//! What the mails say, in both languages, as plain text and as simple HTML. Pure.

/// A mail's words.
pub(crate) struct Words {
    pub subject: String,
    pub text: String,
    pub html: String,
}

/// Text as HTML shows it literally.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
        out
    })
}

/// Puts paragraphs and one button together.
fn letter(locale: &str, subject: String, paragraphs: &[String], link: &str, button: &str) -> Words {
    let sender = if locale == "en" { "Yunwei" } else { "雲維" };
    let text = format!("{}\n\n{link}\n\n-- \n{sender}\n", paragraphs.join("\n\n"));
    let body: String = paragraphs.iter().map(|p| format!("<p>{}</p>", escape(p))).collect();
    let html = format!(
        "<!doctype html><html lang=\"{lang}\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\
         <body style=\"font:16px/1.6 system-ui,sans-serif;color:#1b1f24;max-width:34em;margin:2em auto;padding:0 1em\">{body}\
         <p><a href=\"{href}\" style=\"display:inline-block;padding:.6em 1.2em;background:#0b57d0;color:#fff;border-radius:6px;text-decoration:none\">{button}</a></p>\
         <p style=\"color:#57606a;font-size:14px;word-break:break-all\">{href}</p><p style=\"color:#57606a\">{sender}</p></body></html>",
        lang = escape(locale),
        title = escape(&subject),
        href = escape(link),
        button = escape(button),
    );
    Words { subject, text, html }
}

pub(crate) fn invitation(locale: &str, name: &str, tenant: &str, link: &str, days: i64) -> Words {
    if locale == "en" {
        let paragraphs = [
            format!("Hello {name},"),
            format!("you are invited to join {tenant}. Follow the link to accept; it works for {days} days."),
            "If you did not expect this mail, you need not do anything.".to_owned(),
        ];
        return letter(locale, format!("Invitation to join {tenant}"), &paragraphs, link, "Accept the invitation");
    }
    let paragraphs = [
        format!("{name} 您好："),
        format!("您受邀加入「{tenant}」。請點選以下連結接受邀請；連結在 {days} 天內有效。"),
        "若您並未預期收到這封信，不需要做任何事。".to_owned(),
    ];
    letter(locale, format!("邀請您加入「{tenant}」"), &paragraphs, link, "接受邀請")
}

pub(crate) fn announcement(locale: &str, name: &str, title: &str, text: &str, link: &str) -> Words {
    let greeting = if locale == "en" { format!("Hello {name},") } else { format!("{name} 您好：") };
    let paragraphs: Vec<String> = std::iter::once(greeting).chain(text.split("\n\n").map(str::to_owned)).collect();
    let button = if locale == "en" { "I have read it" } else { "我讀過了" };
    letter(locale, title.to_owned(), &paragraphs, link, button)
}

pub(crate) fn notice(locale: &str, name: &str, title: &str, text: &str, link: &str) -> Words {
    let greeting = if locale == "en" { format!("Hello {name},") } else { format!("{name} 您好：") };
    let paragraphs: Vec<String> = std::iter::once(greeting).chain(text.split("\n\n").map(str::to_owned)).collect();
    letter(locale, title.to_owned(), &paragraphs, link, if locale == "en" { "Look" } else { "查看" })
}

pub(crate) fn reset(locale: &str, name: &str, link: &str, minutes: i64) -> Words {
    if locale == "en" {
        let paragraphs = [
            format!("Hello {name},"),
            format!(
                "somebody, probably you, wants to set a new password for your account. The link works once, for {minutes} minutes."
            ),
            "If it was not you, your password stays as it is and you need not do anything.".to_owned(),
        ];
        return letter(locale, "Set a new password".to_owned(), &paragraphs, link, "Set a new password");
    }
    let paragraphs = [
        format!("{name} 您好："),
        format!("有人（應該是您）要為您的帳號設定新密碼。連結只能使用一次，{minutes} 分鐘內有效。"),
        "若不是您本人，您的密碼不會改變，不需要做任何事。".to_owned(),
    ];
    letter(locale, "設定新密碼".to_owned(), &paragraphs, link, "設定新密碼")
}

pub(crate) fn password_changed(locale: &str, name: &str, base: &str) -> Words {
    if locale == "en" {
        let paragraphs = [
            format!("Hello {name},"),
            "the password of your account has been changed, and other sessions have been ended.".to_owned(),
            "If it was not you, set a new password at once and tell your administrator.".to_owned(),
        ];
        return letter(locale, "Your password has been changed".to_owned(), &paragraphs, base, "Sign in");
    }
    let paragraphs = [
        format!("{name} 您好："),
        "您帳號的密碼已變更，其他登入中的裝置已登出。".to_owned(),
        "若不是您本人所為，請立即設定新密碼並通知您的管理員。".to_owned(),
    ];
    letter(locale, "您的密碼已變更".to_owned(), &paragraphs, base, "登入")
}

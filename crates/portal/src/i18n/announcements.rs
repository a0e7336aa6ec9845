//! Announcements.

super::messages! {
    /// What everyone concerned is told, and who has read it.
    Announcements {
        lead: "給您的公告；讀過請按「我讀過了」。", "What you are told. Say so when you have read it.";
        inbox_empty: "沒有公告", "Nothing was announced";
        inbox_empty_body: "有新公告時，會顯示在每一頁的上方，直到您讀過。", "A new announcement stands above every page until you have read it.";
        i_read: "我讀過了", "I have read it";
        read_at: "讀過：{}", "Read: {}";
        unread: "尚未讀", "not read yet";
        told: "我們發出的公告", "What we have announced";
        new: "發布公告", "Announce something";
        title: "標題", "Title";
        text: "內容", "Text";
        audience: "給誰", "To whom";
        own: "自己組織的所有人", "Everyone of our own organisation";
        customers: "所有客戶的所有人", "Everyone of all customers";
        mail: "電子郵件", "Mail";
        mail_too: "同時寄信給每個人", "Send everybody a mail, too";
        readers: "讀過", "Read";
        of: "{} / {} 人", "{} of {}";
        person: "人員", "Person";
        organisation: "組織", "Organisation";
        ended: "已撤下", "no longer shown";
        end: "撤下", "Show no more";
        end_title: "撤下「{}」？", "Show {} no more?";
        end_body: "公告不再顯示；誰讀過的紀錄會留著。", "It is shown to nobody any more. Who has read it stays on record.";
        from: "{} · {}", "{} · {}";
        more: "還有其他公告", "There are more";
    }
}

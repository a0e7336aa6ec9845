//! Places that the audit log is shipped to.

super::messages! {
    /// The audit log leaves the server while it is written.
    Shipping {
        title: "稽核紀錄的存放處", "Where the audit log is kept";
        lead: "控制這台伺服器的人可以改寫這裡的稽核紀錄，但改不到已經送出去的。", "Whoever has this server can write its audit log anew, but not what has left it before.";
        link: "稽核紀錄送到哪裡", "Where it is kept as well";
        none: "稽核紀錄沒有送到任何地方", "The audit log leaves this server for nowhere";
        none_body: "請至少指定一個這台伺服器的管理員改不到的地方。", "Name at least one place that the administrators of this server cannot change.";
        new: "新增存放處", "Name a place";
        new_lead: "指定後位置就不能再改：那裡已經有送過去的紀錄。", "Where it is cannot be changed afterwards: what was shipped lies there.";
        change: "變更 {}", "Change {}";
        location: "位置", "Where";
        shipped: "已送出", "Shipped";
        shipped_count: "{} 筆", "{} entries";
        behind_since: "自 {} 起未送達", "lacks what was signed since {}";
        waiting: "等待中", "waiting";
        current: "正常", "up to date";
        failing: "重試中", "failing";
        behind: "落後", "behind";
        heads_only: "只送簽章", "signed heads only";
        kind: "種類", "Kind";
        directory: "目錄", "A directory";
        directory_note: "掛載在這台伺服器上的另一台主機的磁碟。", "A disk of another host that is mounted at this server.";
        syslog: "Syslog 伺服器", "A syslog server";
        syslog_note: "RFC 5424，經 TLS 傳送。", "RFC 5424 over TLS.";
        bucket: "物件儲存", "A bucket";
        bucket_note: "相容 S3；建議啟用物件鎖定。", "S3-compatible, best with object lock.";
        webhook: "Webhook", "A webhook";
        webhook_note: "送到您的程式，附簽章。", "To a program of yours, signed.";
        path: "目錄路徑", "Directory";
        path_hint: "從根目錄寫起，且必須已存在，例如 /mnt/other-host/audit。", "From the root, and there already, for example /mnt/other-host/audit.";
        address: "主機與連接埠", "Host and port";
        address_hint: "例如 log.example.com:6514。", "For example log.example.com:6514.";
        authority: "憑證機構（PEM）", "Authority (PEM)";
        authority_hint: "對方憑證的簽發者；Syslog 必填。", "Whose certificates to trust there; needed for syslog.";
        url: "網址", "Address";
        url_hint: "以 https:// 開頭。", "Begins with https://.";
        entries: "內容", "What is sent";
        entries_text: "除了簽章，也送出每一筆紀錄（不含個人資料）", "Entries too, and not the signed heads alone (without personal data)";
        every: "間隔秒數", "Every so many seconds";
        limit: "落後幾秒後警示", "Alarm after so many seconds behind";
        ship: "立即送出", "Ship now";
        shipping: "已排入，幾秒內送出。", "It is shipped within seconds.";
        credential: "設定金鑰", "Set its key";
        credential_lead: "最好是只能新增與讀取、不能覆寫或刪除的金鑰。", "Best a key that may add and read, and neither overwrite nor remove.";
        remove: "不再送出", "Ship there no more";
        remove_title: "不再送到 {}？", "Ship to {} no more?";
        remove_body: "已送過去的紀錄會留在那裡；之後的紀錄若沒有其他存放處，控制這台伺服器的人就能改寫。", "What lies there stays. What comes afterwards can be written anew by whoever has this server, unless it goes elsewhere too.";
        reason: "理由", "Why";
        reason_hint: "會記在稽核紀錄上。", "Stands on the audit log.";
        secret_title: "請現在複製簽章密鑰", "Copy the signing secret now";
        secret_body: "這是唯一一次顯示。用它驗證 webhook-signature 標頭。", "This is the only time it is shown. Check the webhook-signature header with it.";
    }
}

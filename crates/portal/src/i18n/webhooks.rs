//! Webhooks.

super::messages! {
    /// Subscriptions to what happens, and their deliveries.
    Webhooks {
        lead: "資料有變動時，我們會把簽章過的通知送到您的系統。", "When something of yours changes, we send a signed notification to your system.";
        empty: "還沒有訂閱", "No subscriptions yet";
        empty_body: "建立一個訂閱，訂單、服務或帳單有變動時就會收到通知。", "Create one to be told when orders, services or bills change.";
        create: "新增訂閱", "Subscribe";
        api: "關於什麼", "About what";
        callback: "接收網址", "Address to send to";
        callback_hint: "以 https:// 開頭的公開網址，例如 https://example.com/hooks。", "A public address that begins with https://, for example https://example.com/hooks.";
        query: "篩選條件", "Only these";
        query_hint: "例如 eventType=ProductOrderStateChangeEvent；留空則全部送出。", "For example eventType=ProductOrderStateChangeEvent; leave it empty for all.";
        secret_title: "請現在複製簽章密鑰", "Copy the signing secret now";
        secret_body: "這是唯一一次顯示。用它驗證通知的 webhook-signature 標頭。", "This is the only time it is shown. Check the webhook-signature header of notifications with it.";
        secret_kept: "我已保存好", "I have kept it";
        gone: "接收端表示已停用（410）", "The other side says it is gone (410)";
        deliveries: "通知", "Notifications";
        deliveries_empty: "還沒有通知", "No notifications yet";
        deliveries_empty_body: "有符合的變動時，每次傳送都會列在這裡。", "Every sending is listed here once something happens.";
        event: "事件", "Event";
        happened: "發生時間", "Happened";
        attempts: "嘗試次數", "Attempts";
        next_try: "下次 {}", "next {}";
        delivered: "已送達", "Delivered";
        again: "重送", "Send again";
        again_ok: "通知會立即重送。", "The notification is sent again now.";
        end: "結束訂閱", "End the subscription";
        end_title: "結束這個訂閱？", "End this subscription?";
        end_body: "不再送通知到 {}；等待中的通知會放棄。", "Nothing more is sent to {}. What waits is given up.";
        ended: "訂閱已結束。", "The subscription has been ended.";
    }
}

//! Bills and the usage behind them.

super::messages! {
    /// Bills.
    Billing {
        bills_lead: "每期帳單，每一行都能打開看到背後的用量。", "Each period's bill. Every line opens to the usage behind it.";
        bills_empty: "還沒有帳單", "No bills yet";
        bills_empty_body: "第一期結束後，帳單會出現在這裡。", "Your first bill appears here when the period ends.";
        bill: "帳單", "Bill";
        bill_no: "帳單編號", "Bill number";
        period: "計費期間", "Period";
        issued: "開立日期", "Issued";
        due: "繳款期限", "Due";
        total: "總計", "Total";
        seller: "服務提供者", "From";
        buyer: "帳單對象", "Billed to";
        account: "帳務帳號", "Billing account";
        item: "項目", "Item";
        quantity: "數量", "Quantity";
        unit_price: "單價", "Unit price";
        amount: "金額", "Amount";
        subtotal: "小計", "Subtotal";
        tax: "營業稅 {}%", "Business tax {} %";
        amount_due: "應付金額", "Amount due";
        seal_issued: "已開立", "Issued";
        seal_paid: "已結清", "Paid";
        usage_title: "這一行背後的用量", "The usage behind this line";
        usage_lead: "每筆用量都來自機器的實際觀測，加總後乘以單價，就是帳單上的金額。", "Each record comes from observing the machine. Their sum times the price is the amount on the bill.";
        from: "起", "From";
        until: "迄", "Until";
        measured: "用量", "Usage";
        source: "來源", "Source";
        sum: "合計", "Sum";
        how_computed: "計算方式", "How it is computed";
        rounding: "各行以元為單位四捨五入一次；營業稅依合計計算。", "Each line is rounded once, half up, to whole dollars. Tax is computed on the sum.";
        print_note: "本帳單由系統產生。用量明細可於入口網站查閱。", "This bill was made by the system. The usage behind each line is on the portal.";
        once: "一次", "once";
        not_usage: "這一行是固定費用，沒有用量紀錄。", "This line is a fixed charge and has no usage records.";
    }
}

//! The search page: what is found, by kind.

super::messages! {
    /// The search page.
    Search {
        title: "搜尋", "Search";
        lead: "輸入名稱、編號、識別碼、電子郵件或位址的開頭；整個識別碼也會找出與它相關的資料。", "Type how a name, a number, an identifier, a mail address or an address begins. A whole identifier also finds what is about it.";
        nothing: "找不到「{}」", "Nothing found for “{}”";
        nothing_body: "試試完整的識別碼，或名稱的開頭幾個字。", "Try a whole identifier, or the first letters of a name.";
        found: "找到 {} 筆", "{} found";
        more: "前 {} 筆，輸入更多字可縮小範圍", "The first {}; more letters find fewer";
        account: "人員", "People";
        alarm: "警示", "Alarms";
        announcement: "公告", "Announcements";
        applied_rate: "帳單明細", "Billing rates applied";
        approval: "核准", "Approvals";
        audit_entry: "稽核紀錄", "Audit log entries";
        backup_place: "備份位置", "Backup places";
        backup_policy: "備份政策", "Backup policies";
        backup_repository: "備份儲存庫", "Backup repositories";
        bill: "帳單", "Bills";
        billing_account: "帳務帳戶", "Billing accounts";
        cancel_product_order: "訂單取消申請", "Cancellations of orders";
        cancel_service_order: "服務訂單取消申請", "Cancellations of service orders";
        catalog: "產品型錄", "Product catalogs";
        category: "產品分類", "Product categories";
        claim: "位址與連接埠", "Addresses and ports";
        contact: "應變小組成員", "Continuity team";
        control_plane_point: "平台的備份", "Copies of the platform";
        corrective_action: "矯正措施", "Corrective actions";
        customer: "客戶資料", "Customer records";
        data_restore: "資料還原", "Restores of data";
        data_set: "資料集", "Data sets";
        drill: "還原演練與證據", "Drills and their evidence";
        drill_plan: "演練計畫", "Drill plans";
        exercise: "演習", "Exercises";
        finding: "發現事項", "Findings";
        flow: "流程執行", "Runs of flows";
        host: "主機", "Hosts";
        host_task: "主機任務", "Host tasks";
        hub: "Webhook 通知", "Webhooks";
        image: "映像檔", "Images";
        individual: "個人資料", "Individuals";
        intent: "機器", "Machines";
        inventory: "盤點項目", "Inventory";
        job: "工作", "Jobs";
        offering: "銷售方案", "Offerings";
        offering_price: "方案價格", "Prices of offerings";
        order: "訂單", "Orders";
        organization: "組織資料", "Organisations";
        plan_review: "計畫審查", "Reviews of the plan";
        pool: "資源池", "Pools";
        product: "已購產品", "Products";
        product_specification: "產品規格", "Product specifications";
        recovery_point: "還原點", "Recovery points";
        resource: "資源", "Resources";
        resource_catalog: "資源型錄", "Resource catalogs";
        resource_category: "資源分類", "Resource categories";
        resource_specification: "資源規格", "Resource specifications";
        restore: "還原", "Restores";
        runbook: "操作手冊", "Runbooks";
        service: "服務", "Services";
        service_catalog: "服務目錄", "Service catalogs";
        service_category: "服務分類", "Service categories";
        service_order: "服務訂單", "Service orders";
        service_specification: "服務規格", "Service specifications";
        site: "機房", "Sites";
        subnet: "子網路", "Subnets";
        tenant: "客戶與部門", "Customers and departments";
        usage: "用量紀錄", "Usage";
        usage_specification: "用量規格", "Usage specifications";
    }
}

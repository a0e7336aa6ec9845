//! The operator's pages.

super::messages! {
    /// What operations, product managers and auditors see.
    Operator {
        overview_lead: "現在需要您注意的事。", "What needs you now.";
        attention: "需要處理", "Needs attention";
        all_well: "一切正常", "All is well";
        all_well_body: "沒有卡住的流程，所有主機都在線上。", "No flow is stuck and every host is connected.";
        flows_stuck: "卡住的流程", "Stuck flows";
        hosts_connected: "在線主機", "Hosts connected";
        orders_open: "處理中的訂單", "Orders in progress";
        customers_count: "客戶", "Customers";
        of: "共 {}", "of {}";
        capacity: "容量", "Capacity";
        recent: "最近的訂單", "Recent orders";
        customer: "客戶", "Customer";

        orders_lead: "所有客戶的訂單。", "Orders of all customers.";

        flows_lead: "開通、變更與刪除都是流程：寫下紀錄才行動，失敗會復原。", "Set-up, change and removal are flows: written down before they act, undone when they fail.";
        flow: "流程", "Flow";
        current_step: "目前步驟", "Step";
        started: "開始", "Started";
        attempt_n: "第 {} 次嘗試", "attempt {}";
        tab_attention: "需要處理", "Needs attention";
        tab_running: "進行中", "Running";
        tab_all: "全部", "All";
        flows_empty: "沒有符合的流程", "No flows here";
        flows_empty_well: "沒有卡住的流程，一切順利。", "Nothing is stuck. All goes well.";
        stuck_title: "這個流程需要您決定", "This flow needs your decision";
        retry: "重試", "Retry";
        retry_title: "重試這個步驟？", "Retry this step?";
        retry_body: "從失敗的步驟再執行一次。", "The failed step runs once more.";
        skip: "略過", "Skip";
        skip_title: "略過這個步驟？", "Skip this step?";
        skip_body: "視為已完成並繼續。只有在您已用其他方式完成這一步時才這麼做。", "It counts as done and the flow goes on. Do this only when you have done the step's work by other means.";
        unwind: "復原", "Take back";
        unwind_title: "復原這個流程？", "Take this flow back?";
        unwind_body: "已完成的步驟會依相反順序復原，訂單標記為失敗。", "Finished steps are undone in reverse order, and the order is marked as failed.";
        give_up: "放棄", "Give up";
        give_up_title: "放棄並維持現狀？", "Give up and leave it as it is?";
        give_up_body: "流程到此結束，已做的部分不會復原，剩下的需要由人清理。", "The flow ends here. What it did is not undone: what is left over is then a person's to clear.";
        decided: "已記下您的決定，流程繼續。", "Your decision is recorded and the flow goes on.";
        journal: "執行日誌", "Journal";
        event: "事件", "Event";
        input: "輸入", "Input";

        hosts_lead: "每台主機的容量與狀態。", "Each host, its state and how full it is.";
        hosts_empty: "還沒有主機", "No hosts yet";
        hosts_empty_body: "納管一台主機，平台才有地方放機器。", "Enrol one, so that machines have somewhere to live.";
        enrol: "納管主機", "Enrol a host";
        enrol_lead: "產生一次性權杖，在主機上執行一行指令，代理程式就會取得自己的憑證。", "Make a one-time token and run one command on the host. Its agent then gets a certificate of its own.";
        enrol_note: "備註", "Note";
        enrol_note_hint: "例如主機的位置或用途。", "For example where the host stands.";
        enrol_make: "產生權杖", "Make the token";
        enrol_run: "在主機上執行", "Run on the host";
        enrol_once: "權杖只顯示這一次，{} 前有效，只能使用一次。", "The token is shown only now, works until {}, and works once.";
        pool: "資源池", "Pool";
        pools: "資源池", "Pools";
        host: "主機", "Host";
        site: "站點", "Site";
        seen: "最後回報", "Last seen";
        agent_version: "代理程式", "Agent";
        machines: "機器", "Machines";
        cpu: "處理器", "CPU";
        memory: "記憶體", "Memory";
        disk: "磁碟", "Disk";
        cores: "{} / {} 核心", "{} of {} cores";
        used_of: "{} / {}", "{} of {}";
        held_note: "淺色為已保留、尚未使用", "The pale part is reserved and not yet in use";
        drain: "清空", "Drain";
        drain_title: "清空 {}？", "Drain {}?";
        drain_body: "不再放置新的機器；現有機器不受影響。", "No new machines are placed on it. Those running stay as they are.";
        activate: "啟用", "Put into use";
        activate_title: "啟用 {}？", "Put {} into use?";
        activate_body: "從現在起，新的機器可以放在這台主機上。", "From now on new machines may be placed on it.";
        host_changed: "主機狀態已變更。", "The host's state has been changed.";
        accelerator: "加速", "Acceleration";
        hypervisor: "虛擬化", "Hypervisor";
        certificate: "憑證到期", "Certificate runs out";
        pools_empty: "還沒有資源池", "No pools yet";
        pools_empty_body: "先建立站點與資源池，主機才能加入。", "Make a site and a pool first: hosts join a pool.";
        pool_create: "新增資源池", "Add a pool";
        pool_name: "資源池名稱", "Name of the pool";
        sites_empty_body: "從您的第一個機房開始。", "Begin with your first place.";
        images_empty_body: "使用 API 或命令列登記映像檔。", "Register images with the API or the command line.";
        sites_lead: "主機所在的地點。", "Where hosts stand.";
        sites_empty: "還沒有站點", "No sites yet";
        site_create: "新增站點", "Add a site";
        site_name: "站點名稱", "Name of the site";
        site_location: "所在地", "Location";
        images_lead: "機器開機用的映像檔。", "What machines boot from.";
        images_empty: "還沒有映像檔", "No images yet";
        image: "映像檔", "Image";
        size: "大小", "Size";
        format: "格式", "Format";

        customers_lead: "您服務的組織。", "The organisations you serve.";
        customers_empty: "還沒有客戶", "No customers yet";
        customers_empty_body: "建立第一個客戶，並邀請其擁有者。", "Create the first one and invite its owner.";
        customer_create: "建立客戶", "Create a customer";
        customer_create_lead: "建立一個獨立的租戶，並寄信邀請第一位擁有者。", "This makes a tenant of their own and sends its first owner an invitation.";
        customer_name: "組織名稱", "Name of the organisation";
        customer_name_hint: "會出現在帳單上。", "It stands on their bills.";
        owner_email: "擁有者的電子郵件", "The owner's email address";
        owner_name: "擁有者的姓名", "The owner's name";
        customer_created: "客戶已建立，邀請已寄出。", "The customer has been created and the invitation sent.";
        invite_owner: "邀請擁有者", "Invite an owner";
        services_count: "服務", "Services";
        enter: "進入客戶的組織", "Enter as support";
        enter_note: "進入客戶的組織需要「客服支援」角色，客戶會看到您的名字。", "Entering a customer's tenant needs the support role, and the customer sees your name.";

        offerings_lead: "型錄中的銷售方案。透過 API 或命令列上架、變更與下架，不需要改版。", "What is in the catalog. It is put on sale, changed and withdrawn through the API or the command line, without a release.";
        offerings_empty: "型錄是空的", "The catalog is empty";
        offerings_empty_body: "使用 yunwei catalog 或 TMF620 API 建立第一個方案。", "Create the first offering with yunwei catalog or the TMF620 API.";
        offering: "方案", "Offering";
        specification: "規格", "Specification";
        prices: "價格", "Prices";
        revision: "修訂", "Revision";
        valid_values: "允許值", "Allowed values";
        decomposition: "分解", "Decomposition";

        audit_lead: "每個動作都在這棵雜湊樹上，包括被拒絕的。", "Every action is on this hash tree, refused ones included.";
        from_day: "起日", "From day";
        until_day: "迄日", "To day";
        tree_signed: "稽核紀錄已簽章到最新檢查點", "The audit log is signed up to the latest checkpoint";
        tree_signed_body: "任何竄改都會與樹根雜湊不符。請在主機上以下列指令逐筆驗證，不必相信這個頁面。", "Any change would no longer agree with the root hash. Verify every entry with the command below: do not take this page's word for it.";
        tree_wait: "尚未有檢查點", "No checkpoint yet";
        tree_wait_body: "第一個簽章檢查點會在有紀錄後產生。", "The first signed checkpoint is made once there are entries.";
        entries: "紀錄筆數", "Entries";
        checkpoint: "最新檢查點", "Latest checkpoint";
        root: "樹根雜湊", "Root hash";
        signed_by: "簽章金鑰", "Signed by";
        verify_cli: "自行驗證", "Verify it yourself";
        filter: "篩選", "Filter";
        clear: "清除", "Clear";
        tenant: "租戶", "Tenant";
        audit_empty: "沒有符合的紀錄", "No entries match";

        search_title: "搜尋", "Search";
        search_lead: "用名稱、識別碼或電子郵件找到任何東西。", "Find anything by name, identifier or email address.";
        search_none: "找不到「{}」", "Nothing found for “{}”";
        search_none_body: "試試完整的識別碼，或名稱的開頭幾個字。", "Try a whole identifier, or the first letters of a name.";
        search_found: "找到 {} 筆", "{} found";
    }
}

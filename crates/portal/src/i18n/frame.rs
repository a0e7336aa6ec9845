//! The frame around every page, the words for states, and errors.

super::messages! {
    /// Navigation, settings, and words that many pages share.
    Frame {
        product: "雲維", "Yunwei";
        skip: "跳到主要內容", "Skip to main content";
        menu: "選單", "Menu";
        close: "關閉", "Close";
        main_nav: "主要導覽", "Main navigation";
        you_are_here: "所在位置", "You are here";
        home: "總覽", "Overview";
        catalog: "服務型錄", "Catalog";
        orders: "訂單", "Orders";
        services: "我的服務", "My services";
        bills: "帳單", "Bills";
        members: "成員", "Members";
        activity: "活動紀錄", "Activity";
        group_use: "使用", "Use";
        group_org: "組織", "Organisation";
        group_work: "作業", "Operations";
        group_sell: "銷售", "Business";
        group_guard: "稽核", "Assurance";
        flows: "流程", "Flows";
        hosts: "主機與資源池", "Hosts and pools";
        sites: "站點", "Sites";
        images: "映像檔", "Images";
        customers: "客戶", "Customers";
        all_orders: "所有訂單", "All orders";
        offerings: "銷售方案", "Offerings";
        audit: "稽核紀錄", "Audit log";
        jobs: "工作", "Jobs";
        webhooks: "Webhook 通知", "Webhooks";
        people: "人員", "People";
        services_found: "服務", "Services";
        hosts_found: "主機", "Hosts";
        search: "搜尋", "Search";
        search_hint: "搜尋名稱、編號、電子郵件…", "Search names, numbers, mail addresses…";
        account: "帳號", "Account";
        tokens: "API 權杖", "API tokens";
        sessions: "登入裝置", "Signed-in devices";
        sign_out: "登出", "Sign out";
        language: "語言", "Language";
        other_lang: "English", "中文";
        other_lang_code: "en", "zh";
        theme: "外觀", "Theme";
        theme_auto: "依系統", "System";
        theme_light: "淺色", "Light";
        theme_dark: "深色", "Dark";
        save: "儲存", "Save";
        cancel: "取消", "Cancel";
        back: "返回", "Back";
        optional: "（選填）", "(optional)";
        copy: "複製", "Copy";
        copied: "已複製", "Copied";
        print: "列印", "Print";
        details: "詳細資料", "Details";
        name: "名稱", "Name";
        state: "狀態", "State";
        created: "建立時間", "Created";
        updated: "更新時間", "Updated";
        actions: "動作", "Actions";
        id: "識別碼", "Identifier";
        all: "全部", "All";
        none: "無", "None";
        unknown: "不明", "Unknown";
        yes: "是", "Yes";
        no: "否", "No";
        first_page: "回到第一頁", "Back to start";
        next_page: "下一頁", "Next page";
        pages: "分頁", "Pages";
        showing: "本頁 {} 筆", "{} on this page";
        see_all: "查看全部", "See all";
        form_wrong: "有資料需要修正", "Some answers need correcting";
        reason: "原因", "Reason";
        reason_hint: "會寫入稽核紀錄，之後無法更改。", "It goes on the audit log and cannot be changed later.";
        design: "設計系統", "Design system";
        footer_zone: "時間以台北時區（UTC+8）顯示", "Times are shown in Taipei time (UTC+8)";
        just_now: "剛剛", "just now";
        minutes_ago: "{} 分鐘前", "{} min ago";
        hours_ago: "{} 小時前", "{} h ago";
        days_ago: "{} 天前", "{} d ago";
        in_minutes: "{} 分鐘後", "in {} min";
        in_hours: "{} 小時後", "in {} h";
        in_days: "{} 天後", "in {} d";
        seconds_long: "{} 秒", "{} s";
        minutes_long: "{} 分 {} 秒", "{} min {} s";
        hours_long: "{} 小時 {} 分", "{} h {} min";
        days_long: "{} 天 {} 小時", "{} d {} h";
        saved: "已儲存。", "Saved.";
        signed_out: "您已登出。", "You have signed out.";
        loading: "載入中…", "Loading…";
        act_in: "切換組織", "Switch organisation";
        back_to: "回到 {}", "Back to {}";
        acting_in: "您正在 {} 的組織內作業，對方看得到您的動作。", "You are acting inside {}. They see what you do.";
    }
}

super::messages! {
    /// Life-cycle states, in the field's words.
    State {
        acknowledged: "已受理", "Acknowledged";
        rejected: "已拒絕", "Rejected";
        pending: "待處理", "Pending";
        held: "保留中", "Held";
        in_progress: "處理中", "In progress";
        assessing_cancellation: "評估取消中", "Assessing cancellation";
        pending_cancellation: "取消中", "Pending cancellation";
        cancelled: "已取消", "Cancelled";
        completed: "已完成", "Completed";
        failed: "失敗", "Failed";
        partial: "部分完成", "Partially completed";
        feasibility_checked: "可行性已確認", "Feasibility checked";
        designed: "已設計", "Designed";
        reserved: "已保留", "Reserved";
        active: "使用中", "Active";
        inactive: "已停止", "Stopped";
        terminated: "已終止", "Terminated";
        suspended: "已暫停", "Suspended";
        aborted: "已中止", "Aborted";
        created: "已建立", "Created";
        pending_active: "啟用中", "Starting";
        pending_terminate: "終止中", "Terminating";
        in_study: "評估中", "In study";
        in_design: "設計中", "In design";
        in_test: "測試中", "In test";
        launched: "銷售中", "Launched";
        retired: "已停售", "Retired";
        obsolete: "已淘汰", "Obsolete";
        new: "新開立", "New";
        on_hold: "暫緩", "On hold";
        validated: "已確認", "Validated";
        sent: "已寄送", "Sent";
        settled: "已結清", "Settled";
        partially_paid: "部分付款", "Partially paid";
        running: "執行中", "Running";
        waiting: "等待中", "Waiting";
        stuck: "需要處理", "Needs attention";
        unwinding: "復原中", "Undoing";
        given_up: "已放棄", "Given up";
        queued: "等待執行", "Queued";
        host_retired: "已除役", "Retired";
        unwound: "已復原", "Undone";
        done: "已完成", "Done";
        stopped: "已停止", "Stopped";
        starting: "啟動中", "Starting";
        stopping: "停止中", "Stopping";
        paused: "已暫停", "Paused";
        absent: "不存在", "Absent";
        unreachable: "無法聯繫", "Unreachable";
        connected: "已連線", "Connected";
        enrolled: "已納管", "Enrolled";
        draining: "清空中", "Draining";
        maintenance: "維護中", "In maintenance";
        ready: "可用", "Ready";
        invited: "已邀請", "Invited";
        locked: "已鎖定", "Locked";
        expired: "已過期", "Expired";
        revoked: "已撤銷", "Revoked";
        allowed: "允許", "Allowed";
        refused: "拒絕", "Refused";
        step_waiting: "等待中", "waiting";
        step_running: "進行中", "in progress";
        step_done: "完成", "done";
        step_failed: "失敗", "failed";
        step_undone: "已復原", "undone";
        step_skipped: "已略過", "skipped";
    }
}

super::messages! {
    /// Error pages and what a person can do about each.
    Errors {
        invalid_title: "這個請求我們看不懂", "We could not read that request";
        invalid_body: "連結可能不完整，或欄位的值不對。請返回上一頁再試一次。", "The link may be incomplete, or a value is wrong. Go back and try again.";
        forbidden_title: "您沒有這項權限", "You may not do this";
        forbidden_body: "您的角色不包含這個動作。請組織的擁有者調整您的角色；這次嘗試已記入稽核紀錄。", "Your role does not include this action. Ask an owner of your organisation to change your role. This attempt is on the audit log.";
        missing_title: "找不到這一頁", "There is nothing here";
        missing_body: "可能已被刪除、連結有誤，或它不屬於您的組織。", "It may have been deleted, the link may be wrong, or it does not belong to your organisation.";
        conflict_title: "目前的狀態不允許這麼做", "Its present state does not allow this";
        conflict_body: "在您開啟頁面之後，資料可能已經改變。請重新整理後再試一次。", "It may have changed since you opened the page. Reload and try again.";
        throttled_title: "請求太頻繁", "Too many requests";
        throttled_body: "請稍候再試。這項限制保護每一位客戶的服務品質。", "Please wait a moment and try again. The limit protects the service for everybody.";
        throttled_wait: "{} 秒後可以再試。", "You can try again in {} s.";
        bug_title: "我們這邊出錯了", "Something went wrong on our side";
        bug_body: "這不是您的問題。錯誤已記錄下來；若重試仍失敗，請將下方的請求編號告訴我們。", "This is not your fault. The error has been recorded. If trying again fails too, send us the request number below.";
        away_title: "暫時無法使用", "Not available right now";
        away_body: "平台的某個部分正在恢復。您的訂單與資料都安全，請稍候再試。", "Part of the platform is recovering. Your orders and data are safe: try again in a moment.";
        cross_site_title: "這個表單不是從這裡送出的", "This form did not come from here";
        cross_site_body: "為了保護您，來自其他網站的請求不會執行。請從本站的頁面再操作一次。", "To protect you, requests from other sites are not carried out. Please do it again from our own page.";
        stale_title: "這個表單已經過期", "This form has expired";
        stale_body: "您可能在另一個分頁登出或換了帳號。請返回、重新整理後再送出一次。", "You may have signed out or changed accounts in another tab. Go back, reload the page and send it again.";
        request_id: "請求編號", "Request number";
        said: "系統訊息", "What the system said";
        go_home: "回到總覽", "Back to the overview";
        try_again: "再試一次", "Try again";
        field_required: "請填寫此欄位", "Enter a value";
    }
}

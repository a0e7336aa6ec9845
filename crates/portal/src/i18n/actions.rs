//! The audit log's verbs in words: `service.stop` as 停止服務, "Service: stopped".

use super::Lang;

/// (noun of an action, Chinese, English)
const NOUNS: &[(&str, &str, &str)] = &[
    ("productOrder", "訂單", "Order"),
    ("cancelProductOrder", "訂單取消", "Order cancellation"),
    ("product", "產品", "Product"),
    ("service", "服務", "Service"),
    ("serviceOrder", "服務訂單", "Service order"),
    ("session", "登入", "Session"),
    ("account", "成員", "Account"),
    ("role", "角色", "Role"),
    ("token", "API 權杖", "API token"),
    ("invitation", "邀請", "Invitation"),
    ("password", "密碼", "Password"),
    ("tenant", "組織", "Organisation"),
    ("operator", "營運者", "Operator"),
    ("host", "主機", "Host"),
    ("site", "站點", "Site"),
    ("pool", "資源池", "Pool"),
    ("subnet", "網段", "Subnet"),
    ("image", "映像檔", "Image"),
    ("console", "主控台", "Console"),
    ("flow", "流程", "Flow"),
    ("job", "工作", "Job"),
    ("agent", "主機", "Host"),
    ("intent", "機器", "Machine"),
    ("orphan", "孤立的機器", "Orphaned machine"),
    ("usage", "用量", "Usage"),
    ("order", "訂單", "Order"),
    ("serviceCatalog", "服務型錄", "Service catalog"),
    ("serviceCategory", "服務類別", "Service category"),
    ("resource", "資源", "Resource"),
    ("customerBill", "帳單", "Bill"),
    ("reach", "營運人員", "Operator's staff"),
    ("flowDefinition", "流程定義", "Flow definition"),
    ("bill", "帳單", "Bill"),
    ("catalog", "型錄", "Catalog"),
    ("category", "類別", "Category"),
    ("productOffering", "銷售方案", "Offering"),
    ("productOfferingPrice", "價格", "Price"),
    ("productSpecification", "產品規格", "Product specification"),
    ("serviceSpecification", "服務規格", "Service specification"),
    ("resourceSpecification", "資源規格", "Resource specification"),
    ("customer", "客戶", "Customer"),
    ("organization", "組織", "Organisation"),
    ("individual", "個人", "Person"),
    ("billingAccount", "帳務帳號", "Billing account"),
    ("hub", "通知訂閱", "Subscription"),
    ("audit", "稽核紀錄", "Audit log"),
    ("backup", "備份", "Backup"),
    ("backupPlace", "備份存放處", "Place for copies"),
    ("backupPolicy", "備份政策", "Backup policy"),
    ("backupRepository", "備份儲存庫", "Backup repository"),
    ("protection", "服務的保護", "Protection"),
    ("recoveryPoint", "復原點", "Recovery point"),
    ("drillPlan", "演練計畫", "Drill plan"),
    ("drill", "還原演練", "Drill"),
    ("correctiveAction", "改善措施", "Corrective action"),
    ("evidence", "演練證據", "Evidence"),
    ("restore", "還原", "Restore"),
    ("inventory", "盤點項目", "Inventory"),
    ("assessment", "衝擊評估", "Impact assessment"),
    ("harmScale", "損害尺度", "Harm scale"),
    ("objective", "復原目標", "Objectives"),
    ("impact", "衝擊分析", "Impact"),
];

/// (verb of an action, Chinese, English)
const VERBS: &[(&str, &str, &str)] = &[
    ("create", "建立", "created"),
    ("update", "更新", "changed"),
    ("delete", "刪除", "deleted"),
    ("get", "查看", "looked at"),
    ("list", "列出", "listed"),
    ("start", "啟動", "started"),
    ("stop", "停止", "stopped"),
    ("reboot", "重新啟動", "restarted"),
    ("terminate", "終止", "ended"),
    ("capture", "擷取主控台", "console captured"),
    ("open", "開啟", "opened"),
    ("close", "結束", "closed"),
    ("close_all", "全部結束", "all closed"),
    ("act_in", "切換組織", "moved to another organisation"),
    ("invite", "邀請", "invited"),
    ("accept", "接受", "accepted"),
    ("withdraw", "撤回", "withdrawn"),
    ("resend", "重寄", "sent again"),
    ("remove", "移除", "removed"),
    ("suspend", "停權", "suspended"),
    ("resume", "恢復", "resumed"),
    ("grant", "授予", "granted"),
    ("revoke", "撤銷", "revoked"),
    ("change", "變更", "changed"),
    ("request_reset", "要求重設", "reset asked for"),
    ("reset", "重設", "reset"),
    ("init", "設定", "set up"),
    ("enrol", "納管", "enrolled"),
    ("activate", "啟用", "put into use"),
    ("drain", "清空", "drained"),
    ("retire", "除役", "retired"),
    ("register", "登記", "registered"),
    ("retry", "重試", "retried"),
    ("skip", "略過", "skipped"),
    ("unwind", "復原", "taken back"),
    ("give_up", "放棄", "given up"),
    ("import", "匯入", "imported"),
    ("run", "執行", "run"),
    ("adjust", "調整", "adjusted"),
    ("seed", "載入", "filled"),
    ("erase", "抹除", "erased"),
    ("observe", "回報", "reported"),
    ("console", "送出主控台", "sent a console"),
    ("request", "要求", "asked for"),
    ("advance", "推進", "advanced"),
    ("discard", "捨棄", "discarded"),
    ("adopt", "收養", "adopted"),
    ("move", "變更狀態", "moved on"),
    ("subscribe", "新增", "made"),
    ("unsubscribe", "結束", "ended"),
    ("describe", "查看", "looked at"),
    ("preview", "預覽", "previewed"),
    ("export", "匯出", "exported"),
    ("price", "估價", "priced"),
    ("backup", "備份", "backed up"),
    ("check", "檢查", "checked"),
    ("set", "設定", "set"),
    ("end", "結束", "ended"),
    ("set_credential", "設定憑證於", "given a credential"),
    ("reveal_escrow", "顯示託管密碼：", "escrow password shown"),
    ("access", "取得憑證", "fetched access"),
    ("recover", "取得還原資料", "fetched a recovery"),
    ("restore", "還原", "brought back"),
    ("plan_restore", "規劃還原", "restore planned"),
    ("add", "新增", "added"),
    ("rank", "排序", "ranked"),
    ("study", "分析", "studied"),
];

/// An action in words; empty where there are none for it.
pub(crate) fn action(lang: Lang, name: &str) -> String {
    let Some((noun, verb)) = name.split_once('.') else { return String::new() };
    let find = |table: &[(&str, &'static str, &'static str)], word: &str| {
        table.iter().find(|(known, ..)| *known == word).map(|(_, zh, en)| (*zh, *en))
    };
    match (find(NOUNS, noun), find(VERBS, verb), lang) {
        (Some(noun), Some(verb), Lang::Zh) => format!("{}{}", verb.0, noun.0),
        (Some(noun), Some(verb), Lang::En) => format!("{} {}", noun.1, verb.1),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_told_in_both_languages() {
        assert_eq!(action(Lang::Zh, "service.stop"), "停止服務");
        assert_eq!(action(Lang::En, "service.stop"), "Service stopped");
        assert_eq!(action(Lang::En, "unheard.of"), "");
    }
}

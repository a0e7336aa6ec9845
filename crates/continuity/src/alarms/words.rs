//! What alarms are called and what to do about them, in both languages: for mails, and for whoever
//! reads the API.

use super::{Alarm, Cause};

/// In both languages.
pub(super) struct Words {
    pub en: &'static str,
    pub zh: &'static str,
}

/// What is wrong, in a line.
pub(super) fn headline(cause: Cause) -> Words {
    match cause {
        Cause::BackupFailed => Words { en: "The backup failed", zh: "備份失敗" },
        Cause::BackupDegraded => Words { en: "A copy of the backup is missing", zh: "備份缺少副本" },
        Cause::BackupOverdue => Words { en: "There is no new backup", zh: "備份逾期" },
        Cause::BackupUnusual => Words { en: "Far more data changed than usual", zh: "資料變動量異常" },
        Cause::DrillFailed => Words { en: "A drill did not pass", zh: "演練未通過" },
        Cause::PlaceNotImmutable => {
            Words { en: "A place does not keep copies as it is said to", zh: "存放處未如所述防止竄改" }
        }
        Cause::ControlPlaneDegraded => Words {
            en: "A copy of the platform itself is missing or damaged",
            zh: "平台本身的備份副本遺失或損毀",
        },
        Cause::ControlPlaneOverdue => {
            Words { en: "The platform's own backup is late", zh: "平台本身的備份逾期" }
        }
        Cause::AuditShippingBehind => {
            Words { en: "The audit log does not leave the server", zh: "稽核紀錄未能送出" }
        }
    }
}

/// What to do about it.
pub(super) fn next_step(cause: Cause) -> Words {
    match cause {
        Cause::BackupFailed => Words {
            en: "Put right what the problem names, then take a recovery point by hand.",
            zh: "請先排除所列的問題，再手動建立一次復原點。",
        },
        Cause::BackupDegraded => Words {
            en: "Look at the place that lacks its copy; missing copies are brought by themselves once it can be reached.",
            zh: "請檢查缺少副本的存放處；恢復連線後會自動補齊。",
        },
        Cause::BackupOverdue => Words {
            en: "Look whether the service's host is heard of and its places can be reached: what is written now could not be brought back.",
            zh: "請檢查服務所在的主機與備份存放處是否正常：現在寫入的資料還沒有備份。",
        },
        Cause::BackupUnusual => Words {
            en: "Look into the service: data that an intruder encrypted looks like this. No point is let go until somebody says that it is as it should be.",
            zh: "請檢查這個服務：被勒索軟體加密的資料就會這樣。在有人確認正常之前，不會刪除任何復原點。",
        },
        Cause::DrillFailed => Words {
            en: "See the run's report and its corrective actions, then drill again.",
            zh: "請看演練報告與改善措施，處理後再演練一次。",
        },
        Cause::PlaceNotImmutable => Words {
            en: "Look at the rights of the credential that hosts have there, or at the bucket's default retention: whoever takes over a host could remove its copies.",
            zh: "請檢查主機在該處所用憑證的權限，或儲存貯體的預設保留設定：入侵主機的人可以刪除備份。",
        },
        Cause::ControlPlaneDegraded => Words {
            en: "See `yunwei control-plane show` and put the named place right; the next copy looks at everything there again.",
            zh: "請執行 `yunwei control-plane show`，並修復所列的存放處；下一次備份會重新檢查那裡的所有內容。",
        },
        Cause::ControlPlaneOverdue => Words {
            en: "See `yunwei control-plane show`: without a copy, the loss of this server is the loss of every key.",
            zh: "請執行 `yunwei control-plane show`：沒有副本時，失去這台伺服器等於失去所有金鑰。",
        },
        Cause::AuditShippingBehind => Words {
            en: "See `yunwei audit places ls`: what is not shipped can be rewritten by whoever has this server. Where nobody can say why, hold the log against the place: `yunwei audit verify --against`.",
            zh: "請執行 `yunwei audit places ls`：尚未送出的紀錄，可能被控制這台伺服器的人改寫。若原因不明，請以 `yunwei audit verify --against` 比對。",
        },
    }
}

/// What a mail says of some alarms: its subject and its paragraphs.
pub(super) fn letter(alarms: &[&Alarm], zh: bool) -> (String, String) {
    let pick = |words: Words| if zh { words.zh } else { words.en };
    let name = |alarm: &Alarm| match alarm.alarmed_object.name.as_str() {
        "" => alarm.alarmed_object.id.clone(),
        name => name.to_owned(),
    };
    let line = |alarm: &&&Alarm| {
        let (cause, problem) = (alarm.probable_cause, &alarm.specific_problem);
        let what = if zh { problem.code.clone() } else { problem.message.clone() };
        format!("{}: {} ({what})\n{}", name(alarm), pick(headline(cause)), pick(next_step(cause)))
    };
    const LINES_MAX: usize = 20;
    let mut paragraphs: Vec<String> = alarms.iter().take(LINES_MAX).map(|alarm| line(&alarm)).collect();
    if alarms.len() > LINES_MAX {
        let more = alarms.len() - LINES_MAX;
        paragraphs.push(if zh { format!("另外還有 {more} 項。") } else { format!("And {more} more.") });
    }
    let subject = match alarms {
        [one] => format!("{}: {}", pick(headline(one.probable_cause)), name(one)),
        all if zh => format!("{} 項警示", all.len()),
        all => format!("{} alarms", all.len()),
    };
    (subject, paragraphs.join("\n\n"))
}

//! Alarms.

super::messages! {
    /// What is wrong with copies and drills, and what to do about it.
    Alarms {
        lead: "備份與演練出了什麼問題、該怎麼處理。問題排除後，警示會自動解除。", "What is wrong with copies and drills, and what to do. An alarm clears itself once it is right again.";
        empty: "沒有警示", "Nothing is wrong";
        empty_body: "每個受保護的服務都有新的復原點，最近的演練也都通過。", "Every protected service has a new recovery point, and the latest drills passed.";
        what: "問題", "What";
        about: "對象", "About";
        since: "開始", "Since";
        times: "共發現 {} 次", "seen {} times";
        until: "解除", "Until";
        seen_to: "處理", "Seen to";
        next_step: "處理方式：", "Next:";
        acknowledge: "由我處理", "I see to it";
        acknowledge_title: "由我處理這個警示", "You see to this alarm";
        clear: "確認正常", "It is as it should be";
        clear_title: "確認變動正常", "The change is as it should be";
        note: "說明", "Note";
        note_hint: "誰在做什麼；其他人會看到。", "Who does what: others see it.";
        why_hint: "為什麼這樣的變動是正常的。確認後，到期的復原點會再開始刪除。", "Why such a change is right. Points whose time is over are let go again afterwards.";
        cleared: "已解除", "Cleared";
        critical: "緊急", "critical";
        major: "重大", "major";
        minor: "輕微", "minor";
        backup_failed: "備份失敗", "The backup failed";
        backup_failed_do: "請先排除所列的問題，再手動建立一次復原點。", "put right what is named here, then take a recovery point by hand.";
        backup_degraded: "備份缺少副本", "A copy of the backup is missing";
        backup_degraded_do: "請檢查缺少副本的存放處；恢復連線後會自動補齊。", "look at the place that lacks its copy; it is brought by itself once the place can be reached.";
        backup_overdue: "備份逾期", "There is no new backup";
        backup_overdue_do: "請檢查服務所在的主機與備份存放處：現在寫入的資料還沒有備份。", "look at the service's host and its places: what is written now could not be brought back.";
        backup_unusual: "資料變動量異常", "Far more data changed than usual";
        backup_unusual_do: "請檢查這個服務：被勒索軟體加密的資料就會這樣。在有人確認正常之前，不會刪除任何復原點。", "look into the service: data that an intruder encrypted looks like this. No point is let go until somebody says that it is as it should be.";
        drill_failed: "演練未通過", "A drill did not pass";
        drill_failed_do: "請看演練報告與改善措施，處理後再演練一次。", "see the run's report and its corrective actions, then drill again.";
        place_not_immutable: "存放處未如所述防止竄改", "A place does not keep copies as it is said to";
        place_not_immutable_do: "請檢查主機在該處所用憑證的權限，或儲存貯體的預設保留設定：入侵主機的人可以刪除備份。", "look at the rights of the credential that hosts have there, or at the bucket's default retention: whoever takes over a host could remove its copies.";
        control_plane_degraded: "平台本身的備份副本遺失或損毀", "A copy of the platform itself is missing or damaged";
        control_plane_degraded_do: "請執行 yunwei control-plane show，並修復所列的存放處；下一次備份會重新檢查那裡的所有內容。", "run yunwei control-plane show and put the named place right; the next copy looks at everything there again.";
        control_plane_overdue: "平台本身的備份逾期", "The platform's own backup is late";
        control_plane_overdue_do: "請執行 yunwei control-plane show：沒有副本時，失去這台伺服器等於失去所有金鑰。", "run yunwei control-plane show: without a copy, the loss of this server is the loss of every key.";
        audit_shipping_behind: "稽核紀錄未能送出", "The audit log does not leave the server";
        audit_shipping_behind_do: "請看稽核紀錄的存放處：尚未送出的紀錄，可能被控制這台伺服器的人改寫。", "see yunwei audit places ls: what is not shipped can be rewritten by whoever has this server.";
    }
}

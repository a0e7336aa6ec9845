//! What errors say, by their codes.
//!
//! An action's message is English and names the particulars. Its code is stable
//! and says which rule it was: readers of Chinese get that rule in their own
//! language, in words that need no particulars. A code that is not here falls
//! back to the English message; a test holds that every code which a person
//! can meet on a page is here.

use super::Lang;
use base::Error;

/// What an error says to somebody who reads `lang`.
pub(crate) fn words(lang: Lang, error: &Error) -> String {
    said(lang, error.code(), error.message())
}

/// [`words`] of a failure that was kept: its code, and its message in English.
pub(crate) fn said(lang: Lang, code: &str, message: &str) -> String {
    let known = if lang == Lang::Zh { find(code) } else { None };
    known.map_or_else(|| message.to_owned(), ToOwned::to_owned)
}

fn find(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, zh)| *zh)
}

/// (code, what it says in Chinese)
const CODES: &[(&str, &str)] = &[
    ("account.exists", "已有帳號使用這個電子郵件。"),
    ("account.left", "這個帳號已離開；請重新邀請。"),
    ("account.member", "這位已經是成員。"),
    ("account.not_at_home", "這個帳號屬於另一個組織，您只能結束他在您組織中的身分。"),
    ("account.not_found", "沒有這個帳號。"),
    ("account.own", "不能停用自己的帳號。"),
    ("account.suspended", "這個帳號已停用，請洽您組織的管理員。"),
    ("action.forbidden", "您的角色不包含這個動作，請洽您組織的管理員。"),
    ("attempts.too_many", "嘗試次數過多，請稍候再試。"),
    ("attribute.empty", "這項資料不能是空的。"),
    ("attribute.missing", "缺少必填的資料。"),
    ("attribute.read_only", "這項資料建立後不能更改。"),
    ("attribute.type", "資料的型別不符。"),
    ("attribute.unknown", "沒有這個欄位。"),
    ("audit.checkpoint_bad", "檢查點不是以稽核金鑰簽章的。"),
    ("audit.damaged", "稽核雜湊樹無法讀取，請執行 yunwei audit verify。"),
    ("audit.index", "稽核紀錄的位置不能是負數。"),
    ("audit.key", "驗證金鑰的格式不符。"),
    ("audit.not_found", "沒有這筆稽核紀錄。"),
    ("audit.size", "這個大小的雜湊樹還沒有這筆紀錄。"),
    ("audit.tampered", "稽核紀錄與已簽章的內容不符：它被截斷或更改過。"),
    ("audit.unsigned", "尚未簽署任何檢查點。"),
    ("authority.absent", "代理程式的入口尚未開啟；請以 --agent-listen 啟動伺服器。"),
    ("authority.differs", "這裡的主機信任另一個憑證機構，請還原原本的金鑰與憑證。"),
    ("backup.absent", "備份程式無法啟動，請確認已安裝。"),
    ("backup.answer", "主機回報的結果與要求不符，請查看主機的代理程式版本。"),
    ("backup.cancelled", "作業已取消，沒有完成的內容都不會留下。"),
    ("backup.crashed", "備份程序沒有回答就結束了，請重新執行。"),
    ("backup.deadline", "作業超過時限，請放寬時限或查明原因。"),
    ("backup.engine", "備份引擎以未知的方式失敗，請查看日誌。"),
    ("backup.given_up", "有人結束了這次備份。"),
    ("backup.incomplete", "還有副本沒有完成。"),
    ("backup.killed", "備份程序被系統或人員終止；請查看系統日誌是否記憶體不足，再重新執行。"),
    ("backup.memory", "作業需要的記憶體超過上限，請提高上限或分開備份。"),
    ("backup.no_policy", "這個服務沒有備份政策，請先套用一個。"),
    ("backup.place_elsewhere", "這個存放處是另一台主機的目錄，機器所在的主機到不了；請改用備份儲存伺服器。"),
    ("backup.request", "備份的要求不正確。"),
    ("backup.running", "這個服務正在建立復原點，請等它完成。"),
    ("backupPlace.absent", "沒有這個備份存放處。"),
    ("backupPlace.name_taken", "已經有同名的備份存放處。"),
    ("backupPlace.not_found", "沒有這個備份存放處。"),
    ("backupPlace.stale", "這個備份存放處已被別人更改，請重新讀取。"),
    ("backupPolicy.absent", "沒有這個備份政策。"),
    ("backupPolicy.name_taken", "已經有同名的備份政策。"),
    ("backupPolicy.not_found", "沒有這個備份政策。"),
    ("backupPolicy.stale", "這個備份政策已被別人更改，請重新讀取。"),
    ("backupRepository.not_found", "沒有這個備份儲存庫。"),
    ("backupRepository.not_made", "備份儲存庫尚未建立，還沒有東西可以打開。"),
    ("bill.amount", "調整的金額必須不是零，且不超過可開立的金額。"),
    ("bill.concurrent", "另一個作業正在為這個帳戶計費，請再試一次。"),
    ("bill.future", "尚未發生的期間不能計費。"),
    ("bill.issuer", "帳單由營運者開立。"),
    ("bill.period_closed", "這段期間已經結帳。"),
    ("bill.reason", "請用一句話說明原因，客戶會在帳單上看到。"),
    ("bill.too_many_entries", "一張帳單容納不下這麼多筆用量，請縮短期間。"),
    ("bill_line.not_found", "帳單上沒有這一行。"),
    ("capacity.demand", "機器至少要用到一種容量，且不能是負數。"),
    ("capacity.exhausted", "容量不足。"),
    ("capacity.machine_not_gone", "尚未確認這台機器已消失，它占用的容量不能釋放。"),
    ("capacity.none_fits", "目前沒有主機有足夠的空間，請選較小的規格或稍後再試。"),
    ("catalog.key", "型錄檔參照了不存在的鍵。"),
    ("catalog.kind", "型錄檔裡有不屬於型錄的資源。"),
    ("catalog.malformed", "型錄檔的格式不符。"),
    ("catalog.not_the_operator", "型錄屬於營運者，請在營運者的組織中操作。"),
    ("catalog.on_sale", "銷售中的項目不能刪除，請先停售。"),
    ("catalog.too_large", "型錄檔最多 512 KiB。"),
    ("characteristic.default", "規格的預設值本身不在允許範圍內。"),
    ("characteristic.duplicate", "同一個規格名稱出現了兩次。"),
    ("characteristic.fixed", "這一項不能選擇。"),
    ("characteristic.missing", "缺少必要的規格。"),
    ("characteristic.name", "規格需要一個不太長的名稱。"),
    ("characteristic.not_allowed", "這個值不在允許範圍內。"),
    ("characteristic.regex", "規格的樣式無法使用。"),
    ("characteristic.too_many", "規格的項目太多。"),
    ("characteristic.type", "這個值的型別不符。"),
    ("characteristic.unknown", "沒有這個規格項目。"),
    ("claim.none_left", "沒有可用的位址或連接埠了。"),
    ("claim.taken", "這個位址或連接埠剛被取用，正在另選。"),
    ("console.machine_gone", "機器已經不在了。"),
    ("console.not_asked", "還沒有人要求過這台機器的主控台紀錄。"),
    ("credential.malformed", "憑證需要名稱與密鑰，且不能有控制字元。"),
    ("currency.unknown", "不認得這個幣別。"),
    ("db.away", "資料庫暫時連不上。"),
    ("db.busy", "等待寫入的工作太多，請稍候再試。"),
    ("db.check", "資料庫的規則不允許。"),
    ("db.closed", "資料庫正在關閉。"),
    ("db.contended", "同一份資料更動得太頻繁，請再試一次。"),
    ("db.corrupt", "資料庫檔案已損壞，請從備份還原。"),
    ("db.duplicate", "已經有一樣的資料。"),
    ("db.full", "資料目錄所在的磁碟已滿。"),
    ("db.io", "資料目錄無法讀寫。"),
    ("db.reference", "參照的對象不存在。"),
    ("db.slow", "資料庫沒有回應。"),
    ("delivery.not_dead", "只有已放棄的通知可以重送。"),
    ("document.too_deep", "文件的層數太多。"),
    ("email.malformed", "請輸入電子郵件地址，例如 name@example.com。"),
    ("expression.invalid", "運算式無法使用。"),
    ("flow.calling", "這個流程的步驟正在執行，請稍候再試。"),
    ("flow.definition", "流程定義有誤。"),
    ("flow.ended", "這個流程已經結束。"),
    ("flow.input", "流程的輸入太大。"),
    ("flow.no_step", "這個流程不在任何步驟上。"),
    ("flow.not_due", "這個流程目前沒有要做的事。"),
    ("flow.not_found", "沒有這個流程。"),
    ("flow.not_stuck", "只有卡住的步驟可以略過。"),
    ("flow.output", "步驟的結果與定義不符。"),
    ("flow.past_return", "這個流程已過了不能回頭的步驟。"),
    ("flow.span", "時間長度的格式不符，例如 30s、10m、2h。"),
    ("flow.step_timeout", "這個步驟花的時間超過上限。"),
    ("flow.unknown", "沒有這個名稱的流程。"),
    ("flow.version_old", "流程已有更新的版本，新版本的編號必須更大。"),
    ("flow.version_taken", "這個版本編號已用於另一份定義，請使用新的編號。"),
    ("form.broken_off", "表單傳送到一半就中斷了，請再試一次。"),
    ("form.file_missing", "請選擇檔案。"),
    ("form.media_type", "表單的格式不符。"),
    ("form.too_large", "表單太大。"),
    ("host.absent", "沒有這台主機。"),
    ("host.bridge_missing", "主機上沒有指定的網路橋接器。"),
    ("host.certificate", "憑證五天內到期且尚未更新，請檢查代理程式。"),
    ("host.clock", "主機的時鐘與伺服器相差太多。"),
    ("host.disk_full", "主機的磁碟已滿。"),
    ("host.facts", "主機回報的項目太多。"),
    ("host.file_failed", "主機上的檔案無法讀寫。"),
    ("host.illegal_move", "主機目前的狀態不允許這個變更。"),
    ("host.not_empty", "主機上還有機器，請先清空。"),
    ("host.not_found", "沒有這台主機。"),
    ("host.orphans", "主機上有平台不認得的機器。"),
    ("host.oversold", "已保留的容量多於目前可出售的，待機器移除後會恢復。"),
    ("host.retired", "這台主機已除役。"),
    ("host.silent", "主機一段時間沒有回報，上面的機器狀態不明。"),
    ("host.tool_failed", "主機上的工具執行失敗。"),
    ("host.tool_missing", "主機上缺少需要的工具。"),
    ("hub.address", "這個位址不是公開的位址，不會送往那裡。"),
    ("hub.callback", "請輸入可接收通知的網址，例如 https://example.com/hooks。"),
    ("hub.event_type", "這個 API 沒有這種事件。"),
    ("hub.name", "找不到接收端的主機名稱。"),
    ("hub.no_answer", "接收端沒有回應。"),
    ("hub.not_found", "沒有這個訂閱。"),
    ("hub.query", "篩選條件的格式不符，例如 eventType=ProductOrderStateChangeEvent。"),
    ("hub.too_many", "這個 API 的訂閱數已達上限。"),
    ("hypervisor.away", "主機的虛擬化服務暫時連不上。"),
    ("hypervisor.failed", "主機的虛擬化服務執行失敗。"),
    ("hypervisor.refused", "主機的虛擬化服務拒絕了這個要求。"),
    ("hypervisor.timed_out", "主機的虛擬化服務逾時未回應。"),
    ("id.malformed", "識別碼的格式不符。"),
    ("image.absent", "沒有這個名稱的映像檔，請先登記。"),
    ("image.cut_off", "映像檔在傳送途中中斷。"),
    ("image.damaged", "映像檔已損壞。"),
    ("image.digest", "摘要是 64 個十六進位字元（SHA-256）。"),
    ("image.digest_mismatch", "映像檔的內容與登記的摘要不符。"),
    ("image.file_absent", "伺服器的映像檔資料夾裡讀不到這個檔案。"),
    ("image.file_damaged", "映像檔的大小與登記的不符。"),
    ("image.incomplete", "映像檔不完整。"),
    ("image.malformed", "映像檔需要大小（不超過上限）與已知的格式。"),
    ("image.name_taken", "已有同名但內容不同的映像檔。"),
    ("image.no_file", "這不是一個檔案。"),
    ("image.not_found", "沒有這個映像檔。"),
    ("image.not_stored", "映像檔無法寫入。"),
    ("image.refers_elsewhere", "映像檔參照了其他檔案，不能使用。"),
    ("image.unreadable", "映像檔無法讀取。"),
    ("image.url", "網址以 https:// 開頭，或是主機上的絕對路徑。"),
    ("impact.dangling", "相依關係指向不存在的項目。"),
    ("impact.lanes", "一個地點至少要能同時還原一項。"),
    ("impact.need", "需要的數量與可選的項目不符：沒有項目、重複，或多於現有。"),
    ("impact.pool", "資源池的編號超出範圍。"),
    ("impact.too_large", "項目太多，無法一次分析。"),
    ("impact.within", "項目不能位於自己之中。"),
    ("input.malformed", "輸入的資料格式不符。"),
    ("intent.absent", "這台機器已被移除。"),
    ("intent.elsewhere", "這台機器在另一台主機上。"),
    ("intent.not_found", "沒有這台機器。"),
    ("intent.not_reserved", "這台機器沒有在該主機上保留足夠的容量。"),
    ("invitation.changed", "邀請剛有變動，請重新開啟連結。"),
    ("invitation.closed", "這個邀請已回覆或已撤回。"),
    ("invitation.hours", "有效時數超出允許範圍。"),
    ("invitation.just_sent", "邀請剛剛才寄出，請稍候再重寄。"),
    ("invitation.not_found", "沒有這個邀請。"),
    ("invitation.pending", "這位已經邀請過了。您可以撤回後重新邀請。"),
    ("invitation.too_many", "等待回覆的邀請太多，請先撤回一些。"),
    ("invitation.too_many_today", "今天寄出的邀請已達上限，請明天再試。"),
    ("job.not_found", "沒有這個工作。"),
    ("job.panic", "工作因內部錯誤而中止。"),
    ("job.payload", "工作的內容太大。"),
    ("job.running", "這個工作正在執行。"),
    ("job.unknown", "沒有這一種工作。"),
    ("ledger.exceeded", "超過可用的量。"),
    ("ledger.overflow", "合計的數字太大。"),
    ("ledger.settled", "這筆轉移已定案，不能更改。"),
    ("libvirt.connection_lost", "與 libvirt 的連線中斷。"),
    ("libvirt.failed", "libvirt 執行失敗。"),
    ("libvirt.hangs", "libvirt 沒有反應。"),
    ("libvirt.timed_out", "libvirt 逾時未回應。"),
    ("libvirt.unreachable", "連不上 libvirt。"),
    ("link.void", "這個連結已使用過或已過期，請重新索取。"),
    ("locale.unknown", "沒有這個語言的頁面。"),
    ("machine.definition_refused", "主機拒絕了機器的定義。"),
    ("machine.failed", "主機無法建立機器。"),
    ("machine.name_taken", "主機上已有同名的機器。"),
    ("machine.no_console", "這台機器沒有主控台。"),
    ("machine.no_effect", "主機照做了，但機器的狀態沒有改變。"),
    ("machine.out_of_bounds", "機器的規格超出主機能提供的範圍。"),
    ("machine.taken_away", "機器在建立途中被移除了。"),
    ("machine.unsupported", "這台主機不支援這樣的機器。"),
    ("mail.refused", "郵件伺服器拒收。"),
    ("mail.timed_out", "郵件伺服器逾時未回應。"),
    ("mail.unavailable", "郵件伺服器暫時無法使用。"),
    ("mapping.malformed", "規格對應規則的格式不符。"),
    ("mapping.unknown_characteristic", "規格對應到不存在的項目。"),
    ("master.differs", "這個系統的機密是用另一把主金鑰封存的，請還原原本的 keys/master.key。"),
    ("master.unusable", "無法使用主金鑰檔案；請檢查 keys/master.key 的權限與內容。"),
    ("meter.not_found", "這項服務沒有計量。"),
    ("money.too_large", "金額太大。"),
    ("name.malformed", "請輸入名稱，不要太長，也不要有控制字元。"),
    ("network.malformed", "請輸入位址或網段，例如 10.0.0.0/8。"),
    ("number.malformed", "請輸入數字。"),
    ("offering.absent", "沒有這個方案。"),
    ("offering.bundle", "組合方案不能直接訂購，請訂購其中的方案。"),
    ("offering.incomplete", "這個方案沒有產品規格，無法交付。"),
    ("offering.not_on_sale", "這個方案目前不在銷售中。"),
    ("offering.specification_not_ready", "這個方案的規格尚未啟用。"),
    ("operator.absent", "尚未設定營運者，請先執行 yunwei admin init。"),
    ("operator.exists", "營運者已經設定過了。"),
    ("order.action", "這個動作不需要做任何事。"),
    ("order.choice", "請在允許的選項中選擇。"),
    ("order.empty", "訂單至少要有一項。"),
    ("order.ended", "服務訂單已經結束。"),
    ("order.item_absent", "訂單沒有這一項。"),
    ("order.item_over", "這一項正在取消或已經結束。"),
    ("order.items", "一次可估價的項目數超出範圍。"),
    ("order.kept", "進行中或已交付的訂單會保留。"),
    ("order.modify_unsupported", "目前不能以訂單變更產品；請另訂一項並終止這一項。"),
    ("order.nested", "不接受巢狀的項目，請分開訂購。"),
    ("order.not_completed", "訂單尚未完成。"),
    ("order.of_product_order", "這張服務訂單屬於一張產品訂單，請取消該訂單。"),
    ("order.past_no_return", "這張訂單已經不能取消，請改為終止它的產品。"),
    ("order.product_given", "新增的項目會產生產品，不能指定既有的產品。"),
    ("order.quantity", "訂購數量超出範圍。"),
    ("order.reference_reserved", "這項參照只能由平台設定。"),
    ("order.settled", "訂單的狀態由流程決定，不能直接更改。"),
    ("order.too_many_items", "訂單的項目太多。"),
    ("orphan.elsewhere", "這台機器在另一台主機上，請等它在那裡消失。"),
    ("orphan.not_found", "主機沒有回報這台孤立的機器。"),
    ("page.not_found", "沒有這一頁。"),
    ("password.busy", "此刻登入的人太多，請幾秒後再試。"),
    ("password.changed", "密碼剛被更改，請再試一次。"),
    ("password.guessable", "這個密碼太容易猜到，請換一個。"),
    ("password.limited_token", "權限受限的權杖不能更改密碼，請登入後再試。"),
    ("password.needed", "請輸入密碼。"),
    ("password.too_long", "密碼太長。"),
    ("password.too_short", "密碼太短。"),
    ("password.wrong", "目前的密碼不正確。"),
    ("place.address", "位址必須以 https:// 開頭，且不能包含憑證。"),
    ("place.bucket", "請填寫儲存貯體的名稱，前綴不能有「..」。"),
    ("place.credential_absent", "這個備份存放處沒有這個組織可用的憑證，請先設定。"),
    ("place.immutability", "目錄無法防止自己的主機更改內容；伺服器可以是只能新增，儲存貯體可以有物件鎖定。"),
    ("place.no_credentials", "目錄由主機自己存取，沒有憑證。"),
    ("place.path", "目錄要從根目錄寫起，且不能有「..」。"),
    ("place.site", "請說明它在哪個站點，或填 elsewhere；3-2-1 需要這項資料。"),
    ("policy.places", "備份政策要有 2 到 8 個不同的存放處：只有一份等於沒有。"),
    ("policy.prune_delay", "延後清除最多一年。"),
    ("pool.absent", "沒有這個資源池。"),
    ("pool.factor", "超額比例是兩個 1 到 1000 的整數。"),
    ("pool.name_taken", "已有同名的資源池。"),
    ("pool.not_found", "沒有這個資源池。"),
    ("pool.ports", "連接埠範圍從 1024 起，且迄不小於起。"),
    ("pool.stale", "資源池剛被更改，請重新載入後再試。"),
    ("price.currencies", "一張訂單不能混用兩種幣別。"),
    ("price.currency", "價格的幣別與帳戶不同。"),
    ("price.negative", "價格不能是負數。"),
    ("price.too_large", "金額超過可開立的上限。"),
    ("product.absent", "沒有這個產品。"),
    ("product.ending", "這個產品正在終止。"),
    ("product.in_use", "這個產品使用中。"),
    ("product.name_too_long", "名稱太長。"),
    ("product.settled", "產品的狀態由訂單決定，不能直接更改。"),
    ("query.malformed", "查詢的格式不符。"),
    ("query.number", "請輸入不小於零的整數。"),
    ("random.absent", "系統沒有提供亂數。"),
    ("random.none", "系統沒有提供亂數。"),
    ("rate.exceeded", "請求太頻繁，請稍候。"),
    ("reason.missing", "請說明原因。"),
    ("record.contended", "這份資料正被其他人更改，請再試一次。"),
    ("record.duplicate", "已有相同識別碼的資料。"),
    ("record.stale", "這份資料剛被更改，請重新載入後再試。"),
    ("record.too_large", "文件太大。"),
    ("recovery.id", "復原點的識別碼格式不符。"),
    ("recovery.no_copy", "從這台機器的主機到不了任何完好的副本。"),
    ("recovery.not_found", "沒有可以還原的資料。"),
    ("recoveryPoint.not_found", "沒有這個復原點。"),
    ("recoveryPoint.state", "這個復原點目前的狀態不能這樣做。"),
    ("reference.dangling", "參照的對象不存在。"),
    ("repository.append_only", "備份儲存庫只能新增，不能更改或刪除已有的內容。"),
    ("repository.damaged", "備份儲存庫的內容已損壞，請改用另一份副本。"),
    ("repository.exists", "那裡已經有備份儲存庫；請直接使用，或換一個位置。"),
    ("repository.full", "備份儲存庫的磁碟已滿，請清出空間或搬移儲存庫。"),
    ("repository.incomplete", "備份儲存庫缺少應有的內容，請改用另一份副本。"),
    ("repository.key_wrong", "這把金鑰或密碼打不開備份儲存庫。"),
    ("repository.locked", "另一個程式鎖住了備份儲存庫，請稍候，或在確認沒有程式執行後解鎖。"),
    ("repository.missing", "那裡沒有備份儲存庫，請先建立。"),
    ("repository.quota", "備份儲存庫的配額已用完，請提高配額。"),
    ("repository.refused", "備份儲存庫拒絕這組憑證或權限，請檢查憑證與檔案權限。"),
    ("repository.slow", "備份儲存庫回應太慢，請檢查磁碟或網路。"),
    ("repository.unreachable", "連不上備份儲存庫，請檢查網路與伺服器。"),
    ("repository.unusable", "備份儲存庫所在的位置無法使用，請檢查磁碟。"),
    ("request.too_slow", "處理的時間太長；請先確認是否已完成，再重試。"),
    ("reservation.differs", "這台機器已保留了不同的容量。"),
    ("reservation.not_found", "這台機器沒有保留容量。"),
    ("reservation.over", "這台機器已經不在了。"),
    ("resource.kept", "使用中的資源會保留。"),
    ("retention.number", "每項保留規則最多 10,000 個。"),
    ("role.above_own", "您不能授予高於自己的角色，請洽管理員。"),
    ("role.last_holder", "這是最後一位擁有此角色的人，請先指定另一位。"),
    ("role.needed", "請選擇至少一個角色。"),
    ("role.too_many", "一個帳號的角色太多了。"),
    ("role.unknown", "沒有這個角色。"),
    ("route.none", "這個位址沒有東西。"),
    ("schedule.calendar", "排程的格式是 hourly :15、daily 02:00、weekly sun 02:00 或 monthly 1 02:00。"),
    ("schedule.jitter", "分散的時間最多是兩次備份間隔的一半。"),
    ("schedule.range", "排程超出了日曆的範圍。"),
    ("schedule.time_zone", "沒有這個時區，請使用 Asia/Taipei 或 UTC 這樣的名稱。"),
    ("secret.damaged", "封存的機密打不開：資料被更改或損壞，請還原。"),
    ("secret.key_wrong", "這項機密是用另一把主金鑰封存的。"),
    ("service.by_order", "這項資料由訂單與觀測決定，不能直接更改。"),
    ("service.confirm", "請輸入服務名稱以確認。"),
    ("service.in_use", "服務使用中，請先終止它的產品。"),
    ("service.kept", "這項服務會保留紀錄，不能刪除。"),
    ("service.machine_not_found", "服務沒有這台機器。"),
    ("service.no_machine", "這項服務本身沒有機器，請操作面向客戶的服務。"),
    ("service.no_product", "這項服務不屬於任何產品，請終止它所支援的產品。"),
    ("service.not_there", "服務目前沒有可啟動或停止的機器。"),
    ("service.stopped", "服務已停止，請改用啟動。"),
    ("session.csrf", "這個表單屬於另一個登入階段，請重新載入後再試。"),
    ("session.none", "權杖只能在建立它的組織中使用。"),
    ("session.not_found", "沒有這個登入階段。"),
    ("session.over", "登入已逾時，請重新登入。"),
    ("session.refused", "電子郵件或密碼不正確。"),
    ("session.required", "請先登入。"),
    ("session.unnamed", "請指定要結束的登入階段。"),
    ("site.absent", "沒有這個站點。"),
    ("site.name_taken", "已有同名的站點。"),
    ("snapshot.missing", "沒有這個快照，請重新列出。"),
    ("snapshot.path", "快照中沒有這個路徑，請從最上層瀏覽。"),
    ("source.cut", "資料流在完整之前就中斷，因此沒有留下備份；請檢查產生它的程式。"),
    ("source.missing", "要備份的資料不存在，請確認是否已搬移。"),
    ("source.unreadable", "要備份的資料無法完整讀取，因此沒有留下備份；請檢查權限與磁碟後再試。"),
    ("specification.empty", "產品規格沒有任何服務，無法交付。"),
    ("specification.machine", "機器的規格缺少可用的值。"),
    ("specification.resource_unknown", "平台無法建立這一類資源。"),
    ("specification.too_deep", "規格的層數或服務數太多，可能互相循環。"),
    ("specification.too_many_children", "規格的下層項目太多。"),
    ("state.illegal_move", "目前的狀態不能這樣變更。"),
    ("state.unknown", "沒有這個狀態。"),
    ("subnet.cidr", "請輸入網段，例如 192.0.2.0/24。"),
    ("subnet.empty", "最後一個位址在第一個之前。"),
    ("subnet.name_taken", "已有同名的網段。"),
    ("subnet.not_found", "沒有這個網段。"),
    ("subnet.outside", "位址不在網段內。"),
    ("target.full", "還原的磁碟空間不足，請還原到較大的磁碟。"),
    ("target.taken", "還原的位置已經有資料，請還原到新的位置。"),
    ("target.unwritable", "無法寫入還原的位置，請換一個位置。"),
    ("task.host_gone", "可以做這件事的主機已經除役。"),
    ("task.id", "主機任務的識別碼格式不符。"),
    ("task.no_keys", "這台伺服器沒有保管儲存庫的金鑰。"),
    ("task.not_found", "沒有這項主機任務，或它已經結束。"),
    ("task.reused", "這個識別碼已是另一項主機任務。"),
    ("task.too_many", "這台主機進行中的任務太多，請稍候再試。"),
    ("tenant.left", "這個組織已離開。"),
    ("tenant.no_role", "您在那個組織沒有角色。"),
    ("tenant.not_found", "沒有這個組織。"),
    ("tenant.own", "不能停用或恢復自己所在的組織。"),
    ("tenant.suspended", "這個組織目前停用。"),
    ("tenant.too_deep", "部門的層數太多。"),
    ("tenant.too_many", "部門的數量已達上限。"),
    ("time_zone.unknown", "不認得這個時區，請使用 Asia/Taipei 這樣的名稱。"),
    ("token.days", "權杖的有效天數超出範圍。"),
    ("token.expired", "這個 API 權杖已過期，請建立新的。"),
    ("token.for_whom", "請指定權杖的使用者。"),
    ("token.not_found", "沒有這個權杖。"),
    ("token.not_own", "權杖只能由使用者本人建立。"),
    ("token.revoked", "這個 API 權杖已撤銷。"),
    ("token.roles", "沒有任何角色的權杖什麼都不能做。"),
    ("token.too_many", "權杖數量已達上限，請先撤銷不需要的。"),
    ("token.unknown", "不認得這個 API 權杖。"),
    ("usage.duplicate", "這筆用量已經提交過。"),
    ("usage.foreign", "用量由營運者提交；若有遺漏請與他們聯絡。"),
    ("usage.immutable", "用量紀錄不能更改，請更正其數值或拒絕它。"),
    ("usage.no_meter", "產品尚未啟用過，沒有計量。"),
    ("usage.outside", "產品在那段時間未啟用，或時間尚未到。"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Codes that no page can lead to: of programs' doors, files, command lines
    /// and the platform's start.
    const ELSEWHERE: &[&str] = &[
        "agent.",
        "audit.key_",
        "audit.thread",
        "authority.unusable",
        "body.",
        "csr.",
        "cursor.",
        "data.",
        "database.",
        "db.threads",
        "durable.",
        "enrolment.",
        "export.",
        "fields.",
        "filter.",
        "hub.authorities",
        "idempotency.",
        "if_match.",
        "invitation.refused",
        "lease.",
        "ledger.account",
        "ledger.batch",
        "ledger.transfer",
        "ledger.unit",
        "observation.",
        "orphan.generation",
        "policy.",
        "price.",
        "query.",
        "report.",
        "schema.",
        "sort.",
        "testing.",
        "text.",
        "tls.",
        "token.malformed",
        "usage.",
    ];

    /// The codes in the sources of a room: the text after `Error::…(`.
    fn codes(folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !["tests", "testing", "gallery"].contains(&name.as_str()) {
                codes(&path, found);
            }
            if path.extension().is_none_or(|e| e != "rs") || ["tests", "testing"].contains(&name.as_str()) {
                continue;
            }
            let source = std::fs::read_to_string(&path).unwrap();
            let source = source.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            for call in source.split("Error::").skip(1).filter(|call| !call.starts_with("bug(")) {
                let Some((_, rest)) = call.split_once('(') else { continue };
                let first: String = rest.chars().take(80).collect();
                let Some(code) = first.split('"').nth(1) else { continue };
                let is_code = code.split_once('.').is_some_and(|(noun, reason)| {
                    [noun, reason]
                        .iter()
                        .all(|w| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
                });
                let before = first.split('"').next().unwrap_or_default();
                if is_code
                    && before
                        .trim_end_matches([' ', '\n', ','])
                        .chars()
                        .all(|c| c.is_alphanumeric() || ":_ \n,".contains(c))
                {
                    found.push((code.to_owned(), path.display().to_string()));
                }
            }
        }
    }

    #[test]
    fn every_code_that_a_page_can_show_is_said_in_chinese() {
        let mut found = Vec::new();
        for room in [
            "access",
            "billing",
            "commerce",
            "continuity",
            "durable",
            "gate",
            "provisioning",
            "resources",
            "web",
            "portal",
        ] {
            codes(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(room).join("src"), &mut found);
        }
        assert!(found.len() > 200, "the sources were read: {}", found.len());
        found.retain(|(code, _)| find(code).is_none() && !ELSEWHERE.iter().any(|prefix| code.starts_with(prefix)));
        assert!(found.is_empty(), "nobody says these in Chinese: {found:#?}");
    }

    #[test]
    fn every_end_of_a_backup_is_said_in_chinese() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vault/src/fault.rs");
        let source = std::fs::read_to_string(source).unwrap();
        let table = source.split("faults! {").nth(1).unwrap().split("\n}\n").next().unwrap();
        let codes: Vec<&str> = table.lines().filter_map(|line| line.split(" = \"").nth(1)?.split('"').next()).collect();
        assert!(codes.len() > 20, "the table was read: {codes:?}");
        let unsaid: Vec<_> = codes.into_iter().filter(|code| find(code).is_none()).collect();
        assert!(unsaid.is_empty(), "nobody says these in Chinese: {unsaid:?}");
    }

    #[test]
    fn a_code_is_there_once_and_in_order() {
        assert!(CODES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn an_error_speaks_the_readers_language_and_else_its_own() {
        let known = Error::conflict("service.stopped", "the service is stopped; start it instead");
        assert_eq!(words(Lang::Zh, &known), "服務已停止，請改用啟動。");
        assert_eq!(words(Lang::En, &known), "the service is stopped; start it instead");
        let new = Error::conflict("unheard.of", "nobody said this before");
        assert_eq!(words(Lang::Zh, &new), "nobody said this before");
    }
}

//! What stands out, in a sentence for whoever judges it. It says what was seen and what is usual, and accuses nobody.

use super::types::Why;

impl Why {
    /// In English.
    pub fn en(&self) -> String {
        match self {
            Why::Again { times, usual } => format!(
                "Looked up the same subject in {times} different hours of the week; {usual} are usual. No ticket or call of the customer explains it."
            ),
            Why::Burst { subjects, usual } => format!(
                "Looked up {subjects} different subjects in one day without a ticket or call of the customer; {usual} are usual on the fullest day of a week."
            ),
            Why::OutsideAssignments { subjects } => {
                format!(
                    "Looked up {subjects} subjects of tenants that the account is not assigned to, without a ticket."
                )
            }
            Why::OutsideRole { subjects } => {
                format!("Looked up {subjects} subjects in a way that nobody else in the role does, without a ticket.")
            }
            Why::Hours { subjects } => {
                format!(
                    "Acted on {subjects} subjects at hours at which neither this account nor its role works, without a ticket."
                )
            }
            Why::Harvest { subjects, usual } => format!(
                "Looked up {subjects} different subjects within four weeks, a few each day, without a ticket; {usual} are usual."
            ),
            Why::Hands { subjects, beside_person: true } => format!(
                "A service account's key was used for {subjects} subjects from where a person was working the same day."
            ),
            Why::Hands { subjects, beside_person: false } => format!(
                "A service account's key was used for {subjects} subjects from a new network, for what it never did before."
            ),
            Why::Travel { from, to, kilometres, minutes, times } => format!(
                "Seen in {from} and {to}, {kilometres} km apart, within {minutes} minutes; {times} such in the week."
            ),
            Why::Pair { agreed, asked, others_percent, returned } => format!(
                "One person agreed to {agreed} of the other's {asked} approved requests within eight weeks, and to {others_percent} % of those of the team-mates; {returned} were returned."
            ),
        }
    }

    /// In the Chinese of Taiwan.
    pub fn zh_tw(&self) -> String {
        match self {
            Why::Again { times, usual } => {
                format!("本週在 {times} 個不同的小時查詢同一對象；通常最多 {usual} 個。沒有工單或客戶來電可以說明。")
            }
            Why::Burst { subjects, usual } => {
                format!("一天內查詢了 {subjects} 個不同對象，沒有工單或客戶來電；通常一週中最多的一天為 {usual} 個。")
            }
            Why::OutsideAssignments { subjects } => {
                format!("沒有工單，卻查詢了 {subjects} 個不屬於其負責租戶的對象。")
            }
            Why::OutsideRole { subjects } => {
                format!("沒有工單，以同角色其他人都不會做的方式查詢了 {subjects} 個對象。")
            }
            Why::Hours { subjects } => {
                format!("沒有工單，在本帳號與同角色的人都不工作的時段處理了 {subjects} 個對象。")
            }
            Why::Harvest { subjects, usual } => {
                format!("四週內每天少量、合計查詢了 {subjects} 個不同對象，沒有工單；通常為 {usual} 個。")
            }
            Why::Hands { subjects, beside_person: true } => {
                format!("服務帳號的金鑰在某人當天工作的網路位置被使用，涉及 {subjects} 個對象。")
            }
            Why::Hands { subjects, beside_person: false } => {
                format!("服務帳號的金鑰從新的網路位置被使用，做了從未做過的事，涉及 {subjects} 個對象。")
            }
            Why::Travel { from, to, kilometres, minutes, times } => {
                format!("在 {minutes} 分鐘內先後出現於相距 {kilometres} 公里的{from}與{to}；本週共 {times} 次。")
            }
            Why::Pair { agreed, asked, others_percent, returned } => format!(
                "八週內，一人獲核准的 {asked} 件請求中有 {agreed} 件由同一人核准，而該核准者只核准了同組其他人請求的 {others_percent}%；反向核准 {returned} 件。"
            ),
        }
    }
}

//! The first runbook of a service, written from what the platform knows of it: its newest recovery
//! point, where the copies lie, and the command that restores it. People then make it theirs.

use base::time::Timestamp;
use gate::{Action, Effect};
use provisioning::services::SERVICE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Begins, Contents, Step};
use crate::backups::points::ServiceRef;
use crate::backups::protections;

/// What the platform knows.
#[derive(Debug, Clone)]
pub struct Known {
    /// The service.
    pub service: String,
    /// What people call it.
    pub name: String,
    /// The instant of the newest recovery point that something can be restored from.
    pub newest: Option<Timestamp>,
    /// Where copies lie.
    pub places: Vec<String>,
}

/// Of which service, in which language.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DraftOf {
    /// The service.
    pub id: String,
    /// `en`, or `zh-TW`.
    #[serde(default)]
    pub locale: String,
}

/// Writes a draft; keeps nothing.
pub static DRAFT: Action<DraftOf, Contents> = Action {
    name: "runbook.draft",
    summary: "Writes a first runbook for bringing a service back, from what is known of it. Nothing is kept.",
    effect: Effect::Read,
    run: |tx, input| {
        let record = tx.load_for("runbook.draft", &SERVICE, &input.id)?;
        let name = record.body.get("name").and_then(serde_json::Value::as_str).unwrap_or(&input.id).to_owned();
        let seen = (protections::GET.run)(tx, &ServiceRef { id: input.id.clone() })?;
        let newest = seen.newest.and_then(|point| point.taken_at);
        let known = Known { service: input.id.clone(), name, newest, places: seen.place_names };
        Ok(if input.locale == "en" { english(&known) } else { chinese(&known) })
    },
};

/// The instant, to the minute, in the zone that it names.
fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn contents(known: &Known, title: String, purpose: String, steps: [(String, &str, u32, &str); 7]) -> Contents {
    let restore = || Begins::Restore { service: known.service.clone() };
    let steps = steps.into_iter().enumerate().map(|(at, (text, who, minutes, shows))| Step {
        text,
        who: who.to_owned(),
        minutes: Some(minutes),
        shows: shows.to_owned(),
        begins: (at == 3).then(restore),
    });
    Contents { title, service: Some(known.service.clone()), purpose, steps: steps.collect() }
}

fn english(known: &Known) -> Contents {
    let Known { service, name, newest, places } = known;
    let point = match newest {
        Some(at) => {
            format!("When this was written the newest was of {}, with copies at: {}.", minute(*at), places.join(", "))
        }
        None => "When this was written there was none: without one nothing can be restored. Say so at once.".to_owned(),
    };
    let purpose = format!("{name} is lost or unusable and does not come back by itself.");
    let steps = [
        ("Establish what has failed and since when. If the platform does not answer either, call its operator first. Whoever may declare an emergency does so.".to_owned(), "Whoever leads", 10, "It is written down: what, since when, who decided."),
        ("Call the team as the contact tree says, from the top. Where nobody answers, call the deputy.".to_owned(), "Whoever leads", 15, "Everybody or their deputy has answered."),
        (format!("Choose the recovery point: the newest from before the incident. {point}"), "Technician", 10, "The point is older than the incident, and a copy lies out of its reach."),
        (format!("Restore. In the portal: Services, {name}, Restore. Or: yunwei backup restore {service} --plan, read it, and again without --plan."), "Technician", 30, "The service answers as a customer would ask it."),
        ("Look at the data: the newest record, one of yesterday, one of last month; sign in as a user.".to_owned(), "Whoever knows the data", 15, "The newest record and its time are written down: that is what was lost."),
        ("Tell those concerned: what works again, what is missing, what they should do. By telephone whoever cannot read it in the portal.".to_owned(), "Whoever speaks for the firm", 15, "Everybody concerned has been told."),
        ("Back to normal: end every makeshift, see that a new recovery point has been taken, enter again what was lost, write down times and findings.".to_owned(), "Whoever leads", 60, "A recovery point from after the restore is there; findings have owners and dates."),
    ];
    contents(known, format!("Bring back {name}"), purpose, steps)
}

fn chinese(known: &Known) -> Contents {
    let Known { service, name, newest, places } = known;
    let point = match newest {
        Some(at) => format!("寫下這份手冊時，最新的復原點是 {}，副本放在：{}。", minute(*at), places.join("、")),
        None => "寫下這份手冊時沒有任何復原點：沒有復原點就無法還原，請立刻回報。".to_owned(),
    };
    let purpose = format!("「{name}」毀損或無法使用，而且不會自己恢復。");
    let steps = [
        (
            "確認什麼壞了、從什麼時候開始。如果連平台也沒有回應，先打電話給營運商。由有權限的人宣布進入緊急應變。"
                .to_owned(),
            "總指揮",
            10,
            "已記下：發生什麼事、從何時起、由誰決定。",
        ),
        ("依聯絡網由上而下通知團隊；沒有人接就打給代理人。".to_owned(), "總指揮", 15, "每個人或其代理人都已回應。"),
        (
            format!("選擇復原點：事故發生之前最新的一個。{point}"),
            "技術人員",
            10,
            "復原點早於事故，而且副本不在受害範圍內。",
        ),
        (
            format!(
                "還原。入口網站：服務 → {name} → 還原。或執行 yunwei backup restore {service} --plan，看過內容之後，去掉 --plan 再執行一次。"
            ),
            "技術人員",
            30,
            "服務像平常一樣回應客戶。",
        ),
        (
            "檢查資料：最新一筆、昨天的一筆、上個月的一筆；以一般使用者身分登入試用。".to_owned(),
            "熟悉資料的人",
            15,
            "已記下最新一筆資料及其時間：這就是損失了多少。",
        ),
        (
            "告知相關的人：什麼已經恢復、少了什麼、他們該怎麼做。看不到入口網站的人改用電話通知。".to_owned(),
            "對外發言人",
            15,
            "所有相關的人都已知道。",
        ),
        (
            "回到常態：結束所有臨時作法、確認已產生新的復原點、補登遺失的資料，並記下時間與發現的問題。".to_owned(),
            "總指揮",
            60,
            "還原之後已有新的復原點；發現的問題都有負責人和期限。",
        ),
    ];
    contents(known, format!("恢復「{name}」"), purpose, steps)
}

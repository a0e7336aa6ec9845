//! What went wrong with an order, in the words of whoever must act: by the
//! error's code, in English and Traditional Chinese.

use commerce::orders::progress::Reason;

const CUSTOMER: &str = "customer";
const OPERATOR: &str = "operator";

/// code · who must act · English · Traditional Chinese
const TEXTS: &[(&str, &str, &str, &str)] = &[
    (
        "capacity.none_fits",
        OPERATOR,
        "There is no host with enough room just now. Nothing was kept and nothing is charged. The operator must add capacity; then order again, or order a smaller size.",
        "目前沒有主機有足夠的容量。沒有保留任何資源，也不會計費。請由營運人員擴充容量後再訂購，或改訂較小的規格。",
    ),
    (
        "claim.none_left",
        OPERATOR,
        "Every address or port of the host's pool is taken. Nothing was kept and nothing is charged. The operator must widen the pool's range.",
        "主機集區的位址或連接埠已用完。沒有保留任何資源，也不會計費。請營運人員擴大集區範圍。",
    ),
    (
        "image.absent",
        OPERATOR,
        "The image that the product needs is not registered. Nothing was kept and nothing is charged. The operator must register it.",
        "產品所需的映像檔尚未登錄。沒有保留任何資源，也不會計費。請營運人員登錄映像檔。",
    ),
    (
        "machine.failed",
        OPERATOR,
        "The host could not make the machine. Everything was taken back and nothing is charged. The operator must look at the host; the service order holds the details.",
        "主機無法建立虛擬機。已全數復原，不會計費。請營運人員檢查主機，細節見服務訂單。",
    ),
    (
        "machine.taken_away",
        OPERATOR,
        "The machine was taken away while it was being made. Everything was taken back and nothing is charged. Order again.",
        "虛擬機在建立途中被移除。已全數復原，不會計費。請重新訂購。",
    ),
    (
        "flow.step_timeout",
        OPERATOR,
        "The machine did not answer in time. Everything was taken back and nothing is charged. The operator must look at the host; then order again.",
        "虛擬機未在時限內回應。已全數復原，不會計費。請營運人員檢查主機後再重新訂購。",
    ),
    (
        "flow.given_up",
        OPERATOR,
        "The operator ended the work on this order by hand. Ask the operator's service desk what remains.",
        "營運人員已手動結束此訂單的處理。後續事宜請洽服務台。",
    ),
    (
        "flow.stuck",
        OPERATOR,
        "Work on this order is held up and waits for the operator, who sees it and decides how it goes on. Nothing is lost; you need not order again.",
        "此訂單的處理暫時停住，正等待營運人員決定如何繼續。資料不會遺失，您不需要重新訂購。",
    ),
    (
        "machine.seed_too_large",
        CUSTOMER,
        "What the machine should be told when it starts is too long. Nothing is charged. Order again with less user data or fewer keys.",
        "開機資料過長。不會計費。請縮短使用者資料或減少金鑰後重新訂購。",
    ),
];

/// The reason for a code; a code without words of its own is the operator's to look into.
pub fn reason(code: &str, message: &str) -> Reason {
    let general = (
        "The order could not be carried out. Everything was taken back and nothing is charged. The operator must look into it",
        "訂單無法完成。已全數復原，不會計費。請營運人員查明原因",
    );
    match TEXTS.iter().find(|(known, ..)| *known == code) {
        Some((_, who, english, chinese)) => {
            Reason { code: code.to_owned(), english: (*english).to_owned(), chinese: (*chinese).to_owned(), who }
        }
        None if message.is_empty() => Reason {
            code: code.to_owned(),
            english: format!("{}.", general.0),
            chinese: format!("{}。", general.1),
            who: OPERATOR,
        },
        None => Reason {
            code: code.to_owned(),
            english: format!("{}: {message}", general.0),
            chinese: format!("{}（{code}）。", general.1),
            who: OPERATOR,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_says_who_must_act_in_both_languages() {
        for code in TEXTS.iter().map(|(code, ..)| *code).chain(["something.else"]) {
            let reason = reason(code, "because");
            assert!([CUSTOMER, OPERATOR].contains(&reason.who), "{code}");
            assert!(reason.english.is_ascii() && reason.english.len() > 40, "{code}");
            assert!(reason.chinese.chars().filter(|c| !c.is_ascii()).count() > 15, "{code}");
        }
    }
}

//! What follows from what: pure functions over states.

/// The states in which an item has come to its end.
pub const ENDED: [&str; 4] = ["completed", "failed", "cancelled", "rejected"];

/// Whether an item or an order in that state will not move again.
pub fn is_ended(state: &str) -> bool {
    ENDED.contains(&state) || state == "partial"
}

/// The state of an order whose items are in these states.
///
/// | items | order |
/// |---|---|
/// | all completed | `completed` |
/// | all ended, some completed and some not | `partial` |
/// | all ended, none completed, one failed | `failed` |
/// | all cancelled | `cancelled` |
/// | one is being cancelled | `pendingCancellation` |
/// | one has begun or has ended | `inProgress` |
/// | none has begun | `acknowledged` |
pub fn derive<'s>(items: impl IntoIterator<Item = &'s str>) -> &'static str {
    let items: Vec<&str> = items.into_iter().collect();
    let all = |state: &str| items.iter().all(|item| *item == state);
    let any = |state: &str| items.contains(&state);
    if items.iter().all(|item| is_ended(item)) {
        return match () {
            () if all("completed") => "completed",
            () if any("completed") => "partial",
            () if all("cancelled") => "cancelled",
            () => "failed",
        };
    }
    match () {
        () if any("pendingCancellation") => "pendingCancellation",
        () if items.iter().any(|item| *item != "acknowledged") => "inProgress",
        () => "acknowledged",
    }
}

/// Where an item may go from a state.
pub fn item_may_go(from: &str, to: &str) -> bool {
    let legal: &[&str] = match from {
        "acknowledged" => &["inProgress", "pendingCancellation", "cancelled", "failed"],
        "inProgress" => &["completed", "failed", "cancelled", "pendingCancellation"],
        "pendingCancellation" => &["cancelled", "failed", "completed"],
        _ => &[],
    };
    from == to || legal.contains(&to)
}

/// Whether an order with these items, each with whether it ends a product, can
/// still be cancelled. What ends a product cannot be taken back once it began.
///
/// # Errors
/// The code and the sentence that say why not.
pub fn cancellable<'s>(
    order: &str,
    items: impl IntoIterator<Item = (&'s str, bool)>,
) -> Result<(), (&'static str, &'static str)> {
    match order {
        "pendingCancellation" | "assessingCancellation" => {
            return Err(("order.already_cancelling", "the order is being cancelled already"));
        }
        "cancelled" => return Err(("order.already_cancelled", "the order has been cancelled already")),
        ended if is_ended(ended) => {
            return Err(("order.ended", "the order has come to its end; end its products instead"));
        }
        _ => {}
    }
    for (state, ends_product) in items {
        if state == "completed" || (ends_product && state != "acknowledged") {
            return Err((
                "order.past_no_return",
                "part of the order can no longer be taken back; end its products instead",
            ));
        }
    }
    Ok(())
}

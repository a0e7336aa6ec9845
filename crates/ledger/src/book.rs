//! Applying a batch: look at everything, decide, and only then write.

use std::collections::BTreeMap;

use base::time::Timestamp;
use base::{Error, Result, limits};
use db::{AsValue as _, Conn, args};

use crate::account::{self, Account};
use crate::transfer::{self, Move, Outcome, State, Transfer, TransferRow};

/// Applies a batch as a whole. The moves take effect one after the other, so
/// that a later one may use what an earlier one freed. A transfer that was made
/// before, or a settlement that has that outcome already, counts as done.
///
/// # Errors
/// `Exhausted` (`ledger.exceeded`) where an account's rule would be broken,
/// `Conflict` where a transfer of that id says something else
/// (`ledger.transfer_differs`) or was settled the other way (`ledger.settled`),
/// `Dangling` for accounts and transfers that do not exist, `Invalid` for
/// amounts that are not above zero. In all these cases nothing was written and
/// the transaction can go on.
///
/// # Panics
/// Where the database holds other balances than were computed: the transaction
/// is then taken back by whoever runs it.
pub fn apply(conn: &mut Conn<'_>, now: Timestamp, moves: &[Move<'_>]) -> Result<()> {
    if moves.len() > limits::LEDGER_BATCH_MAX {
        return Err(Error::invalid(
            "ledger.batch_too_large",
            format!("a batch has at most {} moves", limits::LEDGER_BATCH_MAX),
        ));
    }
    let mut book = Book::load(conn, moves)?;
    for step in moves {
        book.step(now, step)?;
    }
    book.write(conn, now)
}

/// The accounts and transfers that a batch is about, as they are and as they will be.
struct Book {
    before: BTreeMap<String, Account>,
    after: BTreeMap<String, Account>,
    transfers: BTreeMap<String, TransferRow>,
    made: Vec<String>,
    settled: Vec<(String, Outcome)>,
}

impl Book {
    fn load(conn: &mut Conn<'_>, moves: &[Move<'_>]) -> Result<Self> {
        let wanted: Vec<&str> = moves
            .iter()
            .map(|step| match step {
                Move::Transfer(Transfer { id, .. }) | Move::Post(id) | Move::Void(id) => *id,
            })
            .collect();
        let transfers: BTreeMap<String, TransferRow> = select(conn, transfer::SELECT, "t.id", &wanted, transfer::read)?
            .into_iter()
            .map(|row| (row.id.clone(), row))
            .collect();
        let mut names: Vec<&str> =
            transfers.values().flat_map(|row| [row.debit.as_str(), row.credit.as_str()]).collect();
        for step in moves {
            if let Move::Transfer(transfer) = step {
                names.extend([transfer.debit, transfer.credit]);
            }
        }
        names.sort_unstable();
        names.dedup();
        let sql = format!("SELECT {} FROM ledger_accounts", account::COLUMNS);
        let before: BTreeMap<String, Account> =
            select(conn, &sql, "id", &names, account::read)?.into_iter().map(|a| (a.id.clone(), a)).collect();
        Ok(Book { after: before.clone(), before, transfers, made: Vec::new(), settled: Vec::new() })
    }

    fn step(&mut self, now: Timestamp, step: &Move<'_>) -> Result<()> {
        match step {
            Move::Transfer(transfer) => self.transfer(now, transfer),
            Move::Post(id) => self.settle(now, id, Outcome::Posted),
            Move::Void(id) => self.settle(now, id, Outcome::Voided),
        }
    }

    fn transfer(&mut self, now: Timestamp, asked: &Transfer<'_>) -> Result<()> {
        if let Some(row) = self.transfers.get(asked.id) {
            return if row.is(asked) {
                Ok(())
            } else {
                Err(Error::conflict(
                    "ledger.transfer_differs",
                    format!("transfer {} was made before and says something else", asked.id),
                ))
            };
        }
        let fits = |text: &str| !text.is_empty() && text.len() <= limits::TEXT_INDEXED_MAX;
        if asked.amount <= 0
            || asked.debit == asked.credit
            || ![asked.id, asked.code, asked.subject].into_iter().all(fits)
        {
            return Err(Error::invalid(
                "ledger.transfer",
                "a transfer needs an id, a code, a subject, two accounts and an amount above zero",
            ));
        }
        let (unit_from, unit_to) = (self.unit(asked.debit)?, self.unit(asked.credit)?);
        if unit_from != unit_to {
            return Err(Error::invalid(
                "ledger.unit",
                format!("{} counts {unit_from}, {} counts {unit_to}", asked.debit, asked.credit),
            ));
        }
        let row = TransferRow {
            seq: 0,
            id: asked.id.to_owned(),
            debit: asked.debit.to_owned(),
            credit: asked.credit.to_owned(),
            amount: asked.amount,
            state: if asked.pending { State::Pending } else { State::Posted },
            two_phase: asked.pending,
            code: asked.code.to_owned(),
            subject: asked.subject.to_owned(),
            at: now,
            settled_at: None,
        };
        let (pending, posted) = if asked.pending { (asked.amount, 0) } else { (0, asked.amount) };
        self.add(&row, pending, posted)?;
        self.made.push(row.id.clone());
        self.transfers.insert(row.id.clone(), row);
        Ok(())
    }

    fn settle(&mut self, now: Timestamp, id: &str, outcome: Outcome) -> Result<()> {
        let row = self
            .transfers
            .get(id)
            .cloned()
            .ok_or_else(|| Error::dangling("ledger.transfer_absent", format!("there is no transfer {id}")))?;
        match (row.two_phase, row.state, outcome) {
            (true, State::Pending, _) => {}
            (true, State::Posted, Outcome::Posted) | (true, State::Voided, Outcome::Voided) => return Ok(()),
            _ => {
                return Err(Error::conflict(
                    "ledger.settled",
                    format!("transfer {id} is final and cannot be {}", outcome.word()),
                ));
            }
        }
        let posted = if outcome == Outcome::Posted { row.amount } else { 0 };
        self.add(&row, -row.amount, posted)?;
        self.settled.push((id.to_owned(), outcome));
        let state = if outcome == Outcome::Posted { State::Posted } else { State::Voided };
        self.transfers.insert(id.to_owned(), TransferRow { state, settled_at: Some(now), ..row });
        Ok(())
    }

    fn unit(&self, account: &str) -> Result<&str> {
        match self.after.get(account) {
            Some(found) => Ok(&found.unit),
            None => Err(Error::dangling("ledger.account_absent", format!("there is no account {account}"))),
        }
    }

    /// Adds to both sides, in this book only.
    fn add(&mut self, row: &TransferRow, pending: i64, posted: i64) -> Result<()> {
        let too_much = || Error::invalid("ledger.overflow", "the sum is too large to be counted");
        for (name, is_debit) in [(&row.debit, true), (&row.credit, false)] {
            let Some(account) = self.after.get_mut(name) else {
                return Err(Error::dangling("ledger.account_absent", format!("there is no account {name}")));
            };
            let (set_aside, made) = if is_debit {
                (&mut account.debits_pending, &mut account.debits_posted)
            } else {
                (&mut account.credits_pending, &mut account.credits_posted)
            };
            *set_aside = set_aside.checked_add(pending).ok_or_else(too_much)?;
            *made = made.checked_add(posted).ok_or_else(too_much)?;
            if !account.obeys() {
                return Err(Error::exhausted(
                    "ledger.exceeded",
                    format!("{} {} do not fit in account {name}", row.amount, account.unit),
                ));
            }
        }
        Ok(())
    }

    fn write(self, conn: &mut Conn<'_>, now: Timestamp) -> Result<()> {
        for row in self.made.iter().filter_map(|id| self.transfers.get(id)) {
            conn.execute(
                "INSERT INTO ledger_transfers (id, debit, credit, amount, pending, code, subject, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                args![row.id, row.debit, row.credit, row.amount, row.two_phase, row.code, row.subject, now],
            )?;
        }
        for (id, outcome) in &self.settled {
            conn.execute(
                "INSERT INTO ledger_settlements (transfer, outcome, at) VALUES ($1, $2, $3)",
                args![id, outcome.word(), now],
            )?;
        }
        for (id, after) in &self.after {
            let Some(before) = self.before.get(id).filter(|before| *before != after) else { continue };
            // Only what was computed from is replaced: other sums are never lost.
            let changed = conn.execute(
                "UPDATE ledger_accounts SET debits_pending = $2, debits_posted = $3, credits_pending = $4, credits_posted = $5
                 WHERE id = $1 AND debits_pending = $6 AND debits_posted = $7 AND credits_pending = $8 AND credits_posted = $9",
                args![
                    id,
                    after.debits_pending,
                    after.debits_posted,
                    after.credits_pending,
                    after.credits_posted,
                    before.debits_pending,
                    before.debits_posted,
                    before.credits_pending,
                    before.credits_posted
                ],
            )?;
            assert_eq!(changed, 1, "the ledger's balance of {id} is not what its transfers were computed from");
        }
        Ok(())
    }
}

/// The rows whose `column` is one of `values`.
pub(crate) fn select<T>(
    conn: &mut Conn<'_>,
    sql: &str,
    column: &str,
    values: &[&str],
    read: impl FnMut(&db::Row) -> Result<T>,
) -> Result<Vec<T>> {
    if values.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<String> = (1..=values.len()).map(|n| format!("${n}")).collect();
    let values: Vec<db::Value<'_>> = values.iter().map(|value| value.as_value()).collect();
    conn.query(&format!("{sql} WHERE {column} IN ({})", places.join(", ")), &values, read)
}

//! Double entry with two-phase transfers, for money and for capacity.
//!
//! **What.** An [`Account`] keeps four sums: debits and credits, each pending
//! and posted. A transfer moves an amount from one account's debit side to
//! another's credit side; a pending one only sets it aside.
//!
//! ```text
//!   Move::Transfer (pending) ──► pending ──Move::Post──► posted
//!                                   └──────Move::Void──► voided
//!   Move::Transfer ────────────────────────────────────► posted
//! ```
//!
//! **Invariants** and what holds them:
//! - debits equal credits, in every unit, at every moment (one statement adds
//!   both sides; property test `what_is_debited_is_credited`);
//! - an account's rule (debits within credits, or the reverse) counts what is
//!   pending as if it were spent (`CHECK` constraints; the concurrency tests);
//! - a pending transfer is settled once (`ledger_settlements`' primary key);
//! - the same transfer twice is one transfer: ids are made by the caller;
//! - a batch happens as a whole or not at all, and a refused batch has written
//!   nothing, so that the caller may go on in the same transaction;
//! - transfers are not edited: a wrong one is answered by another.
//!
//! **Not here.** Time limits: what is pending stays so until somebody knows
//! better. An expiry while a create is uncertain would sell the core twice.
//! Also not here: what the accounts mean (`resources`, `billing`).

mod account;
mod audit;
mod book;
#[cfg(test)]
mod tests;
mod transfer;

pub use account::{Account, NewAccount, Rule, account, accounts, named, open};
pub use audit::{Fault, audit};
pub use book::apply;
pub use transfer::{Move, Outcome, State, Transfer, TransferRow, about, history, transfer};

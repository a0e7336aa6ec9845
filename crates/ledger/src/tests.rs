use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use base::Kind;
use base::time::Timestamp;
use db::{Conn, Db, args};
use proptest::prelude::*;

use crate::{Move, NewAccount, Rule, State, Transfer, account, apply, audit, history, open, transfer};

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn stock(db: &Db, name: &'static str, amount: i64) {
    db.write(move |conn| {
        open(conn, NOW, &NewAccount { id: "world", unit: "vcpu", rule: Rule::Free })?;
        open(conn, NOW, &NewAccount { id: "used", unit: "vcpu", rule: Rule::Free })?;
        open(conn, NOW, &NewAccount { id: name, unit: "vcpu", rule: Rule::DebitsWithinCredits })?;
        let id = format!("stock:{name}");
        apply(
            conn,
            NOW,
            &[Move::Transfer(Transfer {
                id: &id,
                debit: "world",
                credit: name,
                amount,
                pending: false,
                code: "stock",
                subject: name,
            })],
        )
    })
    .unwrap();
}

fn hold<'a>(id: &'a str, from: &'a str, amount: i64) -> Move<'a> {
    Move::Transfer(Transfer { id, debit: from, credit: "used", amount, pending: true, code: "hold", subject: id })
}

fn sums(conn: &mut Conn<'_>, id: &str) -> [i64; 4] {
    let a = account(conn, id).unwrap().unwrap();
    [a.debits_pending, a.debits_posted, a.credits_pending, a.credits_posted]
}

#[test]
fn a_held_amount_is_spent_until_it_is_given_back() {
    for (engine, db, _keep) in db::testing::databases() {
        stock(&db, "free", 4);
        db.write(move |conn| {
            apply(conn, NOW, &[hold("a", "free", 3)])?;
            assert_eq!(sums(conn, "free"), [3, 0, 0, 4]);
            let refused = apply(conn, NOW, &[hold("b", "free", 2)]).unwrap_err();
            assert_eq!((refused.kind(), refused.code()), (Kind::Exhausted, "ledger.exceeded"));
            // A refusal has written nothing and the transaction goes on.
            apply(conn, NOW, &[Move::Void("a"), hold("b", "free", 4), Move::Post("b")])?;
            assert_eq!((sums(conn, "free"), sums(conn, "used")), ([0, 4, 0, 4], [0, 0, 0, 4]));
            assert_eq!(transfer(conn, "a")?.unwrap().state, State::Voided);
            let moved: Vec<String> = history(conn, "free", 0, 10)?.into_iter().map(|row| row.id).collect();
            assert_eq!(moved, ["stock:free", "a", "b"], "{engine}");
            assert!(audit(conn)?.is_empty());
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn the_same_move_twice_is_one_move_and_another_under_its_id_is_refused() {
    for (_, db, _keep) in db::testing::databases() {
        stock(&db, "free", 4);
        db.write(|conn| {
            for _ in 0..3 {
                apply(conn, NOW, &[hold("a", "free", 3), hold("a", "free", 3)])?;
            }
            assert_eq!(sums(conn, "free"), [3, 0, 0, 4]);
            assert_eq!(apply(conn, NOW, &[hold("a", "free", 2)]).unwrap_err().code(), "ledger.transfer_differs");
            for _ in 0..3 {
                apply(conn, NOW, &[Move::Post("a")])?;
                apply(conn, NOW, &[hold("a", "free", 3)])?;
            }
            assert_eq!(apply(conn, NOW, &[Move::Void("a")]).unwrap_err().code(), "ledger.settled");
            assert_eq!(apply(conn, NOW, &[Move::Post("stock:free")]).unwrap_err().code(), "ledger.settled");
            assert_eq!(sums(conn, "free"), [0, 3, 0, 4]);
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn a_batch_happens_as_a_whole_or_not_at_all() {
    for (_, db, _keep) in db::testing::databases() {
        stock(&db, "free", 4);
        db.write(|conn| {
            let last = [
                hold("c", "free", 4),
                hold("c", "nowhere", 1),
                hold("c", "free", 0),
                hold("c", "free", -1),
                Move::Post("nowhere"),
                Move::Transfer(Transfer {
                    id: "c",
                    debit: "free",
                    credit: "free",
                    amount: 1,
                    pending: false,
                    code: "x",
                    subject: "x",
                }),
                Move::Transfer(Transfer {
                    id: "c",
                    debit: "world",
                    credit: "used",
                    amount: i64::MAX,
                    pending: false,
                    code: "x",
                    subject: "x",
                }),
            ];
            for bad in last {
                assert!(apply(conn, NOW, &[hold("a", "free", 1), Move::Post("a"), bad]).is_err(), "{bad:?}");
                assert_eq!((sums(conn, "free"), transfer(conn, "a")?), ([0, 0, 0, 4], None));
            }
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn an_account_of_another_unit_or_rule_is_refused() {
    for (_, db, _keep) in db::testing::databases() {
        stock(&db, "free", 4);
        db.write(|conn| {
            let other = open(conn, NOW, &NewAccount { id: "free", unit: "TWD", rule: Rule::Free }).unwrap_err();
            assert_eq!(other.code(), "ledger.account_differs");
            open(conn, NOW, &NewAccount { id: "cash", unit: "TWD", rule: Rule::CreditsWithinDebits })?;
            assert_eq!(apply(conn, NOW, &[hold("a", "cash", 1)]).unwrap_err().code(), "ledger.unit");
            Ok(())
        })
        .unwrap();
    }
}

#[test]
fn the_database_itself_refuses_a_balance_that_breaks_its_rule() {
    for (engine, db, _keep) in db::testing::databases() {
        stock(&db, "free", 4);
        for statement in [
            "UPDATE ledger_accounts SET debits_pending = 5 WHERE id = 'free'",
            "UPDATE ledger_accounts SET credits_posted = -1 WHERE id = 'world'",
            "INSERT INTO ledger_transfers (id, debit, credit, amount, pending, code, subject, at) VALUES ('x', 'world', 'free', 0, 0, 'x', 'x', 0)",
            "INSERT INTO ledger_transfers (id, debit, credit, amount, pending, code, subject, at) VALUES ('x', 'world', 'none', 1, 0, 'x', 'x', 0)",
            "INSERT INTO ledger_settlements (transfer, outcome, at) VALUES ('stock:free', 'expired', 0)",
        ] {
            let refused = db.write(move |conn| conn.execute(statement, args![])).unwrap_err();
            assert!(matches!(refused.kind(), Kind::Conflict | Kind::Dangling), "{engine}: {statement}: {refused:?}");
        }
    }
}

#[test]
fn a_falsified_balance_is_found() {
    for (_, db, _keep) in db::testing::databases() {
        stock(&db, "free", 4);
        let faults = db
            .write(|conn| {
                conn.execute("UPDATE ledger_accounts SET credits_posted = 5 WHERE id = 'free'", args![])?;
                audit(conn)
            })
            .unwrap();
        assert_eq!(faults.len(), 1);
        assert_eq!((faults[0].kept.id.as_str(), faults[0].counted), ("free", [0, 0, 0, 4]));
    }
}

#[test]
fn many_at_once_never_take_more_than_there_is() {
    const CAPACITY: i64 = 37;
    for (engine, db, _keep) in db::testing::databases() {
        stock(&db, "free", CAPACITY);
        let taken = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for worker in 0..12 {
                let (db, taken) = (&db, &taken);
                scope.spawn(move || {
                    for n in 0..12 {
                        let amount = 1 + (worker + n) % 3;
                        let id = format!("{worker}-{n}");
                        let again = id.clone();
                        match db.write(move |conn| apply(conn, NOW, &[hold(&id, "free", amount)])) {
                            Ok(()) => drop(taken.fetch_add(u32::try_from(amount).unwrap(), Ordering::SeqCst)),
                            Err(e) => assert_eq!(e.kind(), Kind::Exhausted, "{engine}: {e:?}"),
                        }
                        // Some of them let go again.
                        if n % 4 == 0 {
                            let freed = db.write(move |conn| match transfer(conn, &again)? {
                                Some(row) if row.state == State::Pending => {
                                    apply(conn, NOW, &[Move::Void(&again)]).map(|()| row.amount)
                                }
                                _ => Ok(0),
                            });
                            taken.fetch_sub(u32::try_from(freed.unwrap_or(0)).unwrap(), Ordering::SeqCst);
                        }
                    }
                });
            }
        });
        db.read(move |conn| {
            let free = account(conn, "free")?.unwrap();
            assert_eq!(free.debits_pending, i64::from(taken.load(Ordering::SeqCst)), "{engine}");
            assert!(free.available() >= 0 && free.available() < 3, "{engine}: {free:?}");
            assert!(audit(conn)?.is_empty());
            Ok(())
        })
        .unwrap();
    }
}

/// What a test may ask for: holds, postings and givings back on three accounts.
#[derive(Debug, Clone)]
enum Ask {
    Hold { id: u8, from: u8, to: u8, amount: i64, pending: bool },
    Post(u8),
    Void(u8),
}

fn asks() -> impl Strategy<Value = Vec<Vec<Ask>>> {
    let one = prop_oneof![
        4 => (0..12u8, 0..3u8, 0..3u8, -1..6i64, any::<bool>()).prop_map(|(id, from, to, amount, pending)| Ask::Hold { id, from, to, amount, pending }),
        2 => (0..12u8).prop_map(Ask::Post),
        2 => (0..12u8).prop_map(Ask::Void),
    ];
    proptest::collection::vec(proptest::collection::vec(one, 1..4), 1..20)
}

/// Runs the batches on an engine; gives the outcome of each and the sums at the end.
fn play(db: &Db, case: u32, batches: &[Vec<Ask>]) -> (Vec<Option<String>>, BTreeMap<u8, [i64; 4]>) {
    let batches = batches.to_vec();
    db.write(move |conn| {
        let name = |n: u8| format!("c{case}:{n}");
        for n in 0..3 {
            let rule = [Rule::Free, Rule::DebitsWithinCredits, Rule::CreditsWithinDebits][usize::from(n)];
            open(conn, NOW, &NewAccount { id: &name(n), unit: "x", rule })?;
        }
        let mut outcomes = Vec::new();
        for batch in &batches {
            let texts: Vec<[String; 3]> = batch
                .iter()
                .map(|ask| match ask {
                    Ask::Hold { id, from, to, .. } => [format!("c{case}-{id}"), name(*from), name(*to)],
                    Ask::Post(id) | Ask::Void(id) => [format!("c{case}-{id}"), String::new(), String::new()],
                })
                .collect();
            let moves: Vec<Move<'_>> = batch
                .iter()
                .zip(&texts)
                .map(|(ask, [id, debit, credit])| match ask {
                    Ask::Hold { amount, pending, .. } => Move::Transfer(Transfer {
                        id,
                        debit,
                        credit,
                        amount: *amount,
                        pending: *pending,
                        code: "x",
                        subject: "x",
                    }),
                    Ask::Post(_) => Move::Post(id),
                    Ask::Void(_) => Move::Void(id),
                })
                .collect();
            outcomes.push(apply(conn, NOW, &moves).err().map(|e| e.code().to_owned()));
        }
        let sums = (0..3).map(|n| (n, sums(conn, &name(n)))).collect();
        Ok((outcomes, sums))
    })
    .unwrap()
}

#[test]
fn what_is_debited_is_credited() {
    let engines = db::testing::databases();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let case = AtomicU32::new(0);
    runner
        .run(&asks(), |batches| {
            let case = case.fetch_add(1, Ordering::SeqCst);
            let runs: Vec<_> = engines.iter().map(|(_, db, _)| play(db, case, &batches)).collect();
            prop_assert!(runs.windows(2).all(|pair| pair[0] == pair[1]), "the engines differ");
            let total = |side: usize| runs[0].1.values().map(|sums| sums[side]).sum::<i64>();
            prop_assert_eq!((total(0), total(1)), (total(2), total(3)));
            let [free, ..] = [runs[0].1[&1]];
            prop_assert!(free[0] + free[1] <= free[3]);
            Ok(())
        })
        .unwrap();
    for (_, db, _) in &engines {
        assert!(db.read(audit).unwrap().is_empty());
    }
}

//! What must hold whatever happens: races, crashes, strangers, a second program.

use super::*;

#[test]
fn concurrent_runs_make_one_bill_and_numbers_have_no_gap() {
    for house in houses() {
        let accounts: Vec<String> = [CUSTOMER, TenantId(3)].iter().map(|tenant| house.account(*tenant)).collect();
        for (service, tenant) in [("web", CUSTOMER), ("db", TenantId(4)), ("shop", TenantId(3))] {
            house.start(start(service, tenant, "2026-07-19T02:00:00Z", tariff()));
            house.see(ended(seen(service, 1, "2026-07-19T02:00:00Z", 3 * HOURS)));
        }
        house.jump("2026-08-01T00:00:00Z");
        let ids: Vec<Vec<String>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|n| {
                    let (gate, account) = (house.gate.clone(), accounts[n % 2].clone());
                    scope.spawn(move || {
                        let account = (n < 6).then_some(account);
                        let input = RunInput { account, period_end: Some(at("2026-07-31T16:00:00Z")), after: None };
                        gate.run(&clerk(), &RUN, input).unwrap().bills.into_iter().map(|bill| bill.id).collect()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let different: std::collections::BTreeSet<&String> = ids.iter().flatten().collect();
        assert_eq!((different.len(), house.count("bills")), (2, 2), "{}", house.engine);
        let numbers: Vec<i64> = house
            .gate
            .db()
            .read(|c| c.query("SELECT number FROM bills ORDER BY number", &[], |row| row.get(0)))
            .unwrap();
        assert_eq!(numbers, [1, 2]);
        assert_eq!(house.count("billed_entries"), house.count("usage_entries"));
        // The department's machine is on the bill of the organisation that it belongs to.
        let bill = house.bill(&accounts[0], "2026-07-31T16:00:00Z");
        assert_eq!(bill.lines.iter().filter(|line| line.name == "db machine").count(), 5);
    }
}

#[test]
fn a_bill_that_is_not_issued_leaves_nothing_and_no_gap() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 3 * HOURS));
        house.jump("2026-08-01T00:00:00Z");
        let before = house.count("facts");
        let failing = account.clone();
        let failed = house.act(move |tx| {
            run_account(tx, &failing, at("2026-07-31T16:00:00Z"))?;
            Err::<(), _>(Error::unavailable("test.crash", "the process ends here"))
        });
        assert_eq!(failed.unwrap_err().code(), "test.crash");
        for table in ["bills", "bill_lines", "charges", "billed_entries", "bill_numbers", "ledger_transfers"] {
            assert_eq!(house.count(table), 0, "{table}");
        }
        assert_eq!((house.count("facts"), house.count("usage_entries")), (before, 1), "the activation alone");
        assert_eq!(house.bill(&account, "2026-07-31T16:00:00Z").bill.number, "00000001");
    }
}

#[test]
fn bills_are_posted_to_the_ledger_and_settled_there() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.jump("2026-08-01T00:00:00Z");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        let (net, tax, total) = sums(&bill);
        let owed = format!("money:receivable:{account}");
        let balance =
            |id: String| house.gate.db().read(move |c| Ok(ledger::account(c, &id)?.unwrap().balance())).unwrap();
        assert_eq!(balance(owed.clone()), -total);
        assert_eq!(balance(format!("money:revenue:{OPERATOR}:TWD")), net);
        assert_eq!(balance(format!("money:tax:{OPERATOR}:TWD")), tax);
        let record = accounts::BILLING_ACCOUNT.get(&house.gate, &owner(CUSTOMER), &account).unwrap();
        assert_eq!(record.at("accountBalance.amount.value"), Some(&json!(total)));
        for state in ["validated", "sent", "settled"] {
            let input = MoveInput { bill: bill.bill.id.clone(), state: state.to_owned() };
            assert_eq!(house.gate.run(&clerk(), &MOVE, input.clone()).unwrap().state, state);
            assert_eq!(house.gate.run(&owner(CUSTOMER), &MOVE, input).unwrap_err().kind(), ErrorKind::Forbidden);
        }
        assert_eq!(balance(owed), 0);
        let record = CUSTOMER_BILL.get(&house.gate, &owner(CUSTOMER), &bill.bill.id).unwrap();
        assert_eq!(record.at("remainingAmount.value"), Some(&json!(0)));
    }
}

#[test]
fn an_issued_bill_changes_in_nothing_but_its_state() {
    let house = houses().remove(0);
    house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
    let account = house.account(CUSTOMER);
    house.jump("2026-08-01T00:00:00Z");
    let bill = house.bill(&account, "2026-07-31T16:00:00Z").bill.id;
    let change =
        |patch: Json| CUSTOMER_BILL.update(&house.gate, &Cx::system("clerk", OPERATOR), &bill, None, body(patch));
    for patch in [
        json!({ "taxIncludedAmount": { "unit": "TWD", "value": 1 } }),
        json!({ "billNo": "7" }),
        json!({ "billingPeriod": null }),
        json!({ "remainingAmount": { "unit": "TWD", "value": 0 } }),
    ] {
        assert_eq!(change(patch.clone()).unwrap_err().kind(), ErrorKind::Invalid, "{patch}");
    }
    assert_eq!(change(json!({ "state": "settled" })).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(change(json!({ "state": "onHold" })).unwrap().state.as_deref(), Some("onHold"));
}

#[test]
fn another_tenant_sees_nothing() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.jump("2026-08-01T00:00:00Z");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        let (line, id) = (bill.lines[0].id.clone(), bill.bill.id.clone());
        let stranger = owner(TenantId(3));
        let gate = &house.gate;
        assert!(gate.run(&stranger, &LIST, ListInput::default()).unwrap().bills.is_empty());
        assert!(gate.run(&stranger, &USAGE_SUMMARY, SummaryInput::default()).unwrap().services.is_empty());
        for error in [
            gate.run(&stranger, &GET, BillRef { bill: id.clone() }).unwrap_err(),
            gate.run(&stranger, &EXPORT, BillRef { bill: id.clone() }).unwrap_err(),
            gate.run(&stranger, &LINE_USAGE, LineUsageInput { line: line.clone(), after: None, limit: None })
                .unwrap_err(),
            gate.run(&stranger, &PREVIEW, PreviewInput { account: account.clone(), period_end: None }).unwrap_err(),
            gate.run(
                &stranger,
                &USAGE_SUMMARY,
                SummaryInput { service: Some("web".into()), ..SummaryInput::default() },
            )
            .unwrap_err(),
            CUSTOMER_BILL.get(gate, &stranger, &id).unwrap_err(),
            APPLIED_CUSTOMER_BILLING_RATE.get(gate, &stranger, &line).unwrap_err(),
            accounts::BILLING_ACCOUNT.get(gate, &stranger, &account).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error:?}");
        }
        for input in [RunInput { account: Some(account.clone()), ..RunInput::default() }, RunInput::default()] {
            assert_eq!(gate.run(&stranger, &RUN, input).unwrap_err().kind(), ErrorKind::Forbidden);
        }
        let own = gate.run(&owner(CUSTOMER), &GET, BillRef { bill: id.clone() }).unwrap();
        assert_eq!(own, bill);
        assert_eq!(gate.run(&owner(CUSTOMER), &LIST, ListInput::default()).unwrap().bills.len(), 1);
        assert_eq!(gate.run(&clerk(), &LIST, ListInput::default()).unwrap().bills.len(), 1);
        assert!(
            gate.run(&clerk(), &USAGE_SUMMARY, SummaryInput { service: Some("web".into()), ..SummaryInput::default() })
                .is_ok()
        );
    }
}

#[test]
fn reports_in_any_order_and_as_often_as_they_come_make_the_same_bill() {
    let mut dice = Dice(7);
    for _ in 0..4 {
        // What three lives were reported as, growing: the last account of each is the whole of it.
        let mut reports = Vec::new();
        for life in 1..=3 {
            let from = base::time::from_micros(
                micros(at("2026-07-19T02:00:00Z")) + (life * 5 * DAYS + dice.roll(DAYS)) * 1_000_000,
            )
            .unwrap();
            let ran = dice.roll(4 * DAYS) + 1;
            for _ in 0..dice.roll(4) {
                reports.push(seen("web", life, &from.to_string(), dice.roll(ran)));
            }
            reports.push(ended(seen("web", life, &from.to_string(), ran)));
        }
        let bills: Vec<_> = (0..3)
            .map(|_| {
                let house = houses().remove(0);
                house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
                let account = house.account(CUSTOMER);
                house.jump("2026-08-20T00:00:00Z");
                let mut told = reports.clone();
                told.extend((0..5).map(|_| reports[dice.roll(reports.len() as i64) as usize].clone()));
                for n in (1..told.len()).rev() {
                    told.swap(n, dice.roll(n as i64 + 1) as usize);
                }
                told.into_iter().for_each(|report| house.see(report));
                let bill = house.bill(&account, "2026-07-31T16:00:00Z");
                (shown(&bill), sums(&bill), house.bill(&account, "2026-08-20T00:00:00Z").bill.total)
            })
            .collect();
        assert!(bills.iter().all(|bill| *bill == bills[0]), "{bills:?}");
    }
}

/// Compares with a file beside this one; `YUNWEI_BLESS=1` writes it anew.
fn golden(name: &str, found: &Json) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bills/golden").join(name);
    let found = serde_json::to_string_pretty(found).unwrap() + "\n";
    if std::env::var_os("YUNWEI_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, kept, "{name} has changed; if that is meant, run again with YUNWEI_BLESS=1");
}

#[test]
fn tmf678_documents_stay_as_they_are() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 30 * HOURS));
        let account = house.account(CUSTOMER);
        house.jump("2026-08-01T00:00:00Z");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        let shown = |record: db::Record| {
            let mut body = record.body;
            body.insert("id".to_owned(), record.id.into());
            Json::Object(body)
        };
        golden("customerBill.json", &shown(CUSTOMER_BILL.get(&house.gate, &owner(CUSTOMER), &bill.bill.id).unwrap()));
        golden(
            "appliedCustomerBillingRate.json",
            &shown(APPLIED_CUSTOMER_BILLING_RATE.get(&house.gate, &owner(CUSTOMER), &bill.lines[2].id).unwrap()),
        );
        golden("bill.json", &serde_json::to_value(&bill).unwrap());
    }
}

#[test]
fn another_program_computes_the_same_bills() {
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/billing/rebill.py");
    if std::process::Command::new("python3").arg("--version").output().is_err() {
        return db::testing::pass_over(db::testing::TOOLS, "python3 is not installed");
    }
    let house = houses().remove(0);
    let mut dice = Dice(20_260_719);
    let account = house.account(CUSTOMER);
    let mut exports = Vec::new();
    for n in 0..12 {
        let mut prices = tariff();
        for price in &mut prices {
            price.amount = rust_decimal::Decimal::new(dice.roll(9_999) + 1, 3);
        }
        prices[2].allowance = dice.roll(40).into();
        prices[3].tiers = vec![rating::Tier {
            above: (dice.roll(50) + 1).into(),
            amount: rust_decimal::Decimal::new(dice.roll(500), 4),
        }];
        let service = format!("s{n}");
        house.start(start(&service, CUSTOMER, "2026-07-19T02:00:00Z", prices));
    }
    let begun = micros(at("2026-07-19T02:00:00Z"));
    for (round, until) in
        ["2026-07-25T03:04:05.678901Z", "2026-07-31T16:00:00Z", "2026-09-02T00:00:00Z"].into_iter().enumerate()
    {
        let span = (micros(at(until)) - begun) / 1_000_000;
        for n in 0..12 {
            let from =
                base::time::from_micros(begun + (span - dice.roll(span / 2) - 1) * 1_000_000 + dice.roll(1_000_000))
                    .unwrap();
            let ran = dice.roll((micros(at(until)) - micros(from)) / 1_000_000 + 1);
            let life = seen(&format!("s{n}"), round as i64 + 1, &from.to_string(), ran);
            house.see(if dice.roll(2) == 0 { ended(life) } else { life });
        }
        house.jump(until);
        let bill = house.bill(&account, until);
        exports.push(house.export(&bill.bill.id));
        let credit = AdjustInput {
            account: account.clone(),
            amount: json!(-dice.roll(500) - 1),
            tax_percent: None,
            reason: "Credit".into(),
            bill: None,
        };
        house.gate.run(&clerk(), &ADJUST, credit).unwrap();
    }
    let scratch = db::testing::Scratch::new();
    let file = scratch.path().join("bills.json");
    std::fs::write(&file, serde_json::to_string(&exports).unwrap()).unwrap();
    let checked = std::process::Command::new("python3").arg(&script).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && said.contains("3 bills agree"), "{said}");
    // And it notices: one dollar more is one too many.
    exports[0]["bill"]["lines"][0]["amount"]["value"] =
        json!(exports[0]["bill"]["lines"][0]["amount"]["value"].as_i64().unwrap() + 1);
    std::fs::write(&file, serde_json::to_string(&exports).unwrap()).unwrap();
    assert!(!std::process::Command::new("python3").arg(&script).arg(&file).output().unwrap().status.success());
}

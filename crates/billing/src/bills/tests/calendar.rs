//! Scenarios by the calendar: this happened, so the bill is that.

use super::*;

#[test]
fn a_machine_from_19_july_to_1_august_makes_this_bill_to_the_dollar() {
    for house in houses() {
        // 19 July, 10:00 in Taipei, to 1 August, 00:00: 12 days and 14 hours, 302 hours.
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.jump("2026-08-02T00:00:00Z");
        // Ran for 100 hours, stopped for a day, ran again until long after the month's end; some of it told twice and in disorder.
        house.see(seen("web", 2, "2026-07-24T06:00:00Z", 13 * DAYS));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 40 * HOURS));
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 100 * HOURS)));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 70 * HOURS));
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 100 * HOURS)));
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        // Second life: 24 July 14:00 to 1 August 00:00 in Taipei is 178 hours; in all 278 hours of running.
        // Rent: 310 × 302 h / 744 h = 125.83; disk: 40 × 302 × 0.01 = 120.8.
        assert_eq!(
            shown(&bill),
            [
                "2026-07 Setup 1 once 100",
                "2026-07 Rent 0.405914 month 126",
                "2026-07 Processor 556 vCPU-hour 278",
                "2026-07 Memory 1112 GiB memory-hour 278",
                "2026-07 Disk 12080 GiB disk-hour 121",
            ],
            "{}",
            house.engine
        );
        // 903 × 5 % = 45.15.
        assert_eq!(sums(&bill), (903, 45, 948));
        assert_eq!((bill.bill.number.as_str(), bill.bill.state.as_str()), ("00000001", "new"));
        assert!(bill.unknown.is_empty());
        assert_eq!(
            house.run(&account, "2026-07-31T16:00:00Z").unwrap().unwrap().id,
            bill.bill.id,
            "again makes no second bill"
        );
        // August so far: a day and eight hours of each; nothing of July comes back.
        let next = house.bill(&account, "2026-08-02T00:00:00Z");
        assert_eq!(
            shown(&next),
            [
                "2026-08 Rent 0.043011 month 13",
                "2026-08 Processor 64 vCPU-hour 32",
                "2026-08 Memory 128 GiB memory-hour 32",
                "2026-08 Disk 1280 GiB disk-hour 13",
            ]
        );
    }
}

#[test]
fn a_machine_that_starts_at_ten_and_runs_thirty_seconds_is_worth_a_bill() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        // It booted 1.5 seconds before it was handed over; that is not charged.
        house.see(seen("web", 1, "2026-07-19T01:59:58.500Z", 32));
        house.jump("2026-07-19T02:00:45Z");
        let account = house.account(CUSTOMER);
        let bill = house.bill(&account, "2026-07-19T02:00:45Z");
        assert_eq!((shown(&bill), sums(&bill)), (vec!["2026-07 Processor 61 vCPU-second 61".to_owned()], (61, 3, 64)));
        let behind = house
            .gate
            .run(&clerk(), &LINE_USAGE, LineUsageInput { line: bill.lines[0].id.clone(), after: None, limit: None })
            .unwrap();
        assert_eq!(behind.usage.len(), 1);
        assert_eq!((behind.usage[0].quantity, behind.usage[0].entry.origin.as_str()), (61.into(), "int_web"));
        assert_eq!(
            (behind.usage[0].entry.from, behind.usage[0].entry.until),
            (at("2026-07-19T02:00:00Z"), at("2026-07-19T02:00:30.500Z"))
        );
    }
}

#[test]
fn what_is_unknown_is_shown_and_billed_when_it_is_known() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        let account = house.account(CUSTOMER);
        // The agent went silent two hours before the month ended.
        let known = micros(at("2026-07-31T14:00:00Z")) - micros(at("2026-07-19T02:00:00Z"));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", known / 1_000_000));
        house.jump("2026-07-31T17:00:00Z");
        let july = house.bill(&account, "2026-07-31T16:00:00Z");
        assert_eq!(july.lines[0].amount.0.minor, 2 * known / 1_000_000);
        assert_eq!(july.unknown.len(), 1);
        assert_eq!(
            (july.unknown[0].since, july.unknown[0].until, july.unknown[0].forgone),
            (at("2026-07-31T14:00:00Z"), at("2026-07-31T16:00:00Z"), false)
        );
        // It comes back with the same life: the two hours are July's, on August's bill.
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", known / 1_000_000 + 3 * HOURS)));
        house.jump("2026-08-31T17:00:00Z");
        let august = house.bill(&account, "2026-08-31T16:00:00Z");
        assert_eq!(
            shown(&august),
            ["2026-07 Processor 14400 vCPU-second 14400", "2026-08 Processor 7200 vCPU-second 7200"]
        );
        assert!(august.unknown.is_empty());
    }
}

#[test]
fn an_end_that_nobody_saw_is_not_charged_beyond_what_is_certain() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        let life = seen("web", 1, "2026-07-19T02:00:00Z", 600);
        house.see(LifeSeen { end: Some(LifeEnd { at: at("2026-07-19T05:00:00Z"), certain: false }), ..life });
        house.jump("2026-07-20T00:00:00Z");
        let account = house.account(CUSTOMER);
        let bill = house.bill(&account, "2026-07-20T00:00:00Z");
        assert_eq!(bill.lines[0].amount.0.minor, 1_200);
        assert!(bill.unknown[0].forgone);
        house.see(ended(seen("web", 2, "2026-07-20T01:00:00Z", 10)));
        house.jump("2026-07-21T00:00:00Z");
        let next = house.bill(&account, "2026-07-21T00:00:00Z");
        assert!(next.unknown.is_empty(), "what was forgone then is not told again on every later bill");
    }
}

#[test]
fn what_is_long_over_is_left_alone_until_there_is_news_of_it() {
    for house in houses() {
        for service in ["web", "idle", "live"] {
            house.start(start(service, CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        }
        let account = house.account(CUSTOMER);
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 600));
        house.jump("2026-07-19T03:00:00Z");
        house.act(|tx| usage::end(tx, "web", tx.now)).unwrap();
        house.act(|tx| usage::end(tx, "idle", tx.now)).unwrap();
        let waiting = || {
            let of = "SELECT service FROM meters WHERE waiting = 1 ORDER BY service";
            house.gate.db().read(move |c| c.query(of, &[], |row| row.get::<String>(0))).unwrap()
        };
        assert_eq!(waiting(), ["idle", "live", "web"]);
        assert_eq!(sums(&house.bill(&account, "2026-07-19T03:00:00Z")), (1_200, 60, 1_260));
        assert_eq!(waiting(), ["live"], "{}", house.engine);
        // The agent was away; what it has to tell of the machine that is gone comes a day late.
        house.jump("2026-07-20T03:00:00Z");
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 900));
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 1_000)));
        assert_eq!(waiting(), ["live", "web"]);
        let late = house.bill(&account, "2026-07-20T03:00:00Z");
        assert_eq!(shown(&late), ["2026-07 Processor 800 vCPU-second 800"]);
        assert_eq!(waiting(), ["live"]);
    }
}

#[test]
fn one_account_that_cannot_be_billed_keeps_nobody_else_from_being_billed() {
    for house in houses() {
        for (service, tenant) in [("web", CUSTOMER), ("shop", TenantId(3))] {
            house.start(start(service, tenant, "2026-07-19T02:00:00Z", tariff()));
        }
        let (bad, good) = (house.account(CUSTOMER), house.account(TenantId(3)));
        let damage = "UPDATE meter_terms SET prices = '?' WHERE meter = (SELECT id FROM meters WHERE service = 'web')";
        house.gate.db().write(|c| c.execute(damage, &[])).unwrap();
        house.jump("2026-08-01T00:00:00Z");
        let input = RunInput { account: None, period_end: Some(at("2026-07-31T16:00:00Z")), after: None };
        let made = house.gate.run(&clerk(), &RUN, input).unwrap();
        assert_eq!(made.bills.iter().map(|bill| &bill.account).collect::<Vec<_>>(), [&good], "{}", house.engine);
        assert_eq!((made.failed.len(), &made.failed[0].account), (1, &bad));
        assert_eq!(made.failed[0].code, "billing.damaged");
        assert_eq!((house.count("bills"), house.count("bill_numbers")), (1, 1));
    }
}

#[test]
fn an_allowance_on_a_recurring_price_is_given_once_a_month() {
    for house in houses() {
        let mut prices = rating::prices(&[
            json!({ "name": "Rent", "priceType": "recurring", "recurringChargePeriod": "day", "price": taiwan(100.0) }),
        ])
        .unwrap();
        prices[0].allowance = 1.into();
        house.start(MeterStart { machines: vec![], ..start("web", CUSTOMER, "2026-07-19T02:00:00Z", prices) });
        let account = house.account(CUSTOMER);
        let mut amounts = Vec::new();
        for until in ["2026-07-20T02:00:00Z", "2026-07-21T02:00:00Z", "2026-07-22T02:00:00Z"] {
            house.jump(until);
            amounts.push(house.bill(&account, until).lines[0].amount.0.minor);
        }
        assert_eq!(amounts, [0, 100, 100], "{}", house.engine);
    }
}

#[test]
fn what_never_ran_or_never_became_active_is_not_billed() {
    for house in houses() {
        let account = house.account(CUSTOMER);
        house.see(ended(seen("ghost", 1, "2026-07-19T02:00:00Z", 500)));
        house.start(start("idle", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        house.jump("2026-07-20T00:00:00Z");
        assert_eq!(house.run(&account, "2026-07-20T00:00:00Z").unwrap(), None);
        assert_eq!((house.count("bills"), house.count("usage_entries"), house.count("bill_numbers")), (0, 0, 0));
    }
}

#[test]
fn a_change_of_size_splits_the_charges_and_a_departure_ends_them() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 10 * HOURS)));
        house.jump("2026-07-19T12:00:00Z");
        let bigger =
            [("vcpu", 4), ("memory", 4), ("diskGiB", 100)].map(|(name, size)| (name.to_owned(), size.into())).into();
        house.act(move |tx| usage::change(tx, "web", tx.now, &bigger, &tariff())).unwrap();
        let mut second = seen("web", 2, "2026-07-19T12:00:00Z", 5 * HOURS);
        second.vcpus = 4;
        house.see(ended(second));
        house.jump("2026-07-19T17:00:00Z");
        house.act(|tx| usage::end(tx, "web", tx.now)).unwrap();
        house.jump("2026-07-31T17:00:00Z");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        // Processors: 2 × 10 h + 4 × 5 h; disk: 40 × 10 h + 100 × 5 h; rent: 15 h of 744.
        assert_eq!(
            shown(&bill),
            [
                "2026-07 Setup 1 once 100",
                "2026-07 Rent 0.020161 month 6",
                "2026-07 Processor 40 vCPU-hour 20",
                "2026-07 Memory 60 GiB memory-hour 15",
                "2026-07 Disk 900 GiB disk-hour 9",
            ]
        );
        house.jump("2026-08-31T17:00:00Z");
        assert_eq!(house.run(&account, "2026-08-31T16:00:00Z").unwrap(), None, "nothing after the end");
    }
}

#[test]
fn allowances_and_tiers_count_the_month_over_several_bills() {
    for house in houses() {
        let mut prices = by_second();
        prices[0].allowance = 100.into();
        prices[0].tiers = vec![rating::Tier { above: 200.into(), amount: "0.5".parse().unwrap() }];
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", prices));
        let account = house.account(CUSTOMER);
        let mut amounts = Vec::new();
        for (n, until) in (1..).zip(["2026-07-20T00:00:00Z", "2026-07-21T00:00:00Z", "2026-07-22T00:00:00Z"]) {
            let from = format!("2026-07-19T1{n}:00:00Z");
            house.see(ended(seen("web", n, &from, 100)));
            house.jump(until);
            amounts.push(house.bill(&account, until).lines[0].amount.0.minor);
        }
        // 200 units each: 100 free and 100 at 1; then 100 more at 1 and 100 at a half; then 200 at a half.
        assert_eq!(amounts, [100, 150, 100]);
    }
}

#[test]
fn what_was_wrong_is_put_right_on_the_next_bill() {
    for house in houses() {
        product(&house, "prd_web");
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", by_second()));
        let account = house.account(CUSTOMER);
        house.see(ended(seen("web", 1, "2026-07-19T02:00:00Z", 1_000)));
        house.see(ended(seen("web", 2, "2026-07-19T05:00:00Z", 500)));
        house.jump("2026-08-01T00:00:00Z");
        let first = house.bill(&account, "2026-07-31T16:00:00Z");
        assert_eq!(sums(&first), (3_000, 150, 3_150));
        let platform = Cx::system("clerk", OPERATOR);
        let usages = USAGE.list(&house.gate, &owner(CUSTOMER), true, page).unwrap().records;
        let of = |life: i64| {
            let is = |record: &db::Record| {
                record.body["usageCharacteristic"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .any(|c| c["name"] == "life" && c["value"] == life)
            };
            usages.iter().map(|(record, _)| record.clone()).find(is).unwrap()
        };
        assert_eq!(of(1).state.as_deref(), Some("billed"));
        // The first life lasted 900 seconds, not 1,000; the second never was.
        let mut patch = json!({ "usageCharacteristic": of(1).body["usageCharacteristic"] });
        for entry in patch["usageCharacteristic"].as_array_mut().unwrap() {
            if entry["name"] == "duration" {
                entry["value"] = json!(900);
            }
        }
        let corrected = USAGE.update(&house.gate, &platform, &of(1).id, None, body(patch)).unwrap();
        assert_eq!(corrected.state.as_deref(), Some("rerated"));
        let own = USAGE.delete(&house.gate, &owner(CUSTOMER), &of(2).id, None).unwrap_err();
        assert_eq!(own.kind(), ErrorKind::Forbidden, "a customer does not take back what they used");
        USAGE.delete(&house.gate, &platform, &of(2).id, None).unwrap();
        let credit = AdjustInput {
            account: account.clone(),
            amount: json!(-50),
            tax_percent: None,
            reason: "Service credit".into(),
            bill: Some(first.bill.id.clone()),
        };
        house.gate.run(&clerk(), &ADJUST, credit).unwrap();
        let again = house.gate.run(&clerk(), &GET, BillRef { bill: first.bill.id.clone() }).unwrap();
        assert_eq!(again, first, "the issued bill stays");
        house.jump("2026-08-31T17:00:00Z");
        let next = house.bill(&account, "2026-08-31T16:00:00Z");
        assert_eq!(shown(&next), ["2026-07 Processor -1200 vCPU-second -1200", "2026-08 Service credit 1 once -50"]);
        assert_eq!(sums(&next), (-1_250, -63, -1_313));
        let record = CUSTOMER_BILL.get(&house.gate, &owner(CUSTOMER), &next.bill.id).unwrap();
        assert_eq!(
            (record.body["category"].as_str(), record.at("amountDue.value")),
            (Some("credit note"), Some(&json!(0)))
        );
        assert_eq!(house.run(&account, "2026-08-31T17:00:00Z").unwrap(), None);
    }
}

#[test]
fn a_broken_promise_is_credited_once_a_month_on_the_next_bill() {
    for house in houses() {
        house.start(start("one", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        let account = house.account(CUSTOMER);
        let owe = |amount: &str| {
            let amount: rust_decimal::Decimal = amount.parse().unwrap();
            house
                .act(move |tx| {
                    let owed = Compensation { service: "one", ground: "recovery", amount, reason: "back after 90 s" };
                    compensate(tx, &owed)
                })
                .unwrap()
        };
        assert!(owe("500"));
        assert!(!owe("500"), "the same month");
        house.jump("2026-07-31T16:00:01Z");
        assert!(owe("500"), "August has begun in Taipei");
        let unknown = house.act(|tx| {
            let owed = Compensation { service: "two", ground: "recovery", amount: 1.into(), reason: "x" };
            compensate(tx, &owed)
        });
        assert!(!unknown.unwrap(), "nobody pays for what was never active");
        let bill = house.bill(&account, "2026-07-31T16:00:00Z");
        let credit = shown(&bill).into_iter().filter(|line| line.contains("back after")).collect::<Vec<_>>();
        assert_eq!(credit, ["2026-07 back after 90 s 1 once -500"]);
    }
}

fn page(scope: &Scope) -> Query<'_> {
    Query {
        kind: "usage",
        scope,
        conditions: vec![],
        sort: None,
        descending: false,
        after: None,
        offset: 0,
        limit: 100,
    }
}

#[test]
fn usage_that_somebody_else_counted_is_taken_in_once() {
    for house in houses() {
        let prices = rating::prices(&[json!({ "name": "Calls", "priceType": "usage", "unitOfMeasure": { "amount": 1000, "units": "request" }, "price": { "unit": "TWD", "value": 3 } })]).unwrap();
        product(&house, "prd_api");
        house.start(MeterStart { machines: vec![], ..start("api", CUSTOMER, "2026-07-19T02:00:00Z", prices) });
        let account = house.account(CUSTOMER);
        house.jump("2026-07-20T00:00:00Z");
        let importer = Cx::new(Actor::Account(AccountId(1)), OPERATOR, Scope::All, ["billing-clerk".to_owned()].into());
        let usage = |id: &str, requests: i64| {
            body(json!({
                "usageDate": "2026-07-19T03:00:00Z", "usageType": "requests", "ratedProductUsage": [{ "productRef": { "id": "prd_api" } }],
                "usageCharacteristic": [{ "name": "externalId", "value": id }, { "name": "request", "value": requests }],
            }))
        };
        let first = USAGE.create(&house.gate, &importer, usage("a", 1_500)).unwrap();
        assert_eq!((first.state.as_deref(), first.tenant), (Some("guided"), CUSTOMER));
        USAGE.create(&house.gate, &importer, usage("b", 1_000)).unwrap();
        assert_eq!(USAGE.create(&house.gate, &importer, usage("a", 1_500)).unwrap_err().code(), "usage.duplicate");
        let stranger = USAGE.create(&house.gate, &owner(CUSTOMER), usage("c", 1)).unwrap_err();
        assert_eq!(stranger.kind(), ErrorKind::Forbidden, "a customer does not write their own bill");
        let loose =
            USAGE.create(&house.gate, &owner(CUSTOMER), body(json!({ "description": "of nothing we sell" }))).unwrap();
        assert_eq!(loose.state.as_deref(), Some("received"));
        let patch = |patch: Json| USAGE.update(&house.gate, &owner(CUSTOMER), &loose.id, None, body(patch));
        assert!(patch(json!({ "description": "still of nothing", "usageType": "x" })).is_ok());
        for refused in
            [json!({ "status": "billed" }), json!({ "ratedProductUsage": [{ "productRef": { "id": "prd_api" } }] })]
        {
            assert_eq!(patch(refused).unwrap_err().kind(), ErrorKind::Conflict);
        }
        let bill = house.bill(&account, "2026-07-20T00:00:00Z");
        assert_eq!(shown(&bill), ["2026-07 Calls 2.5 1000 request 8"]);
    }
}

#[test]
fn a_preview_is_the_bill_that_comes() {
    for house in houses() {
        house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
        house.see(seen("web", 1, "2026-07-19T02:00:00Z", 30 * HOURS));
        let account = house.account(CUSTOMER);
        house.jump("2026-07-21T00:00:00Z");
        let entries = house.count("usage_entries");
        let input = PreviewInput { account: account.clone(), period_end: Some(at("2026-07-20T20:00:00Z")) };
        let preview = house.gate.run(&owner(CUSTOMER), &PREVIEW, input).unwrap();
        assert_eq!(house.count("usage_entries"), entries, "looking writes nothing");
        let summary = house.gate.run(&owner(CUSTOMER), &USAGE_SUMMARY, SummaryInput::default()).unwrap();
        assert_eq!((summary.services.len(), summary.services[0].unknown.len()), (1, 1));
        let bill = house.bill(&account, "2026-07-20T20:00:00Z");
        assert_eq!((shown(&preview), sums(&preview), &preview.unknown), (shown(&bill), sums(&bill), &bill.unknown));
    }
}

#[test]
fn the_future_and_a_closed_period_cannot_be_billed() {
    let house = houses().remove(0);
    house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
    let account = house.account(CUSTOMER);
    house.jump("2026-07-20T00:00:00Z");
    assert_eq!(house.run(&account, "2026-07-20T00:00:01Z").unwrap_err().code(), "bill.future");
    house.bill(&account, "2026-07-20T00:00:00Z");
    assert_eq!(house.run(&account, "2026-07-19T12:00:00Z").unwrap_err().code(), "bill.period_closed");
}

#[test]
fn an_exempt_account_pays_no_tax() {
    let house = houses().remove(0);
    house.start(start("web", CUSTOMER, "2026-07-19T02:00:00Z", tariff()));
    let account = house.account(CUSTOMER);
    let exemption = json!({ "taxExemption": [{ "issuingJurisdiction": "Taiwan", "validFor": { "startDateTime": "2026-01-01T00:00:00Z" } }] });
    let ask = |cx: &Cx| accounts::BILLING_ACCOUNT.update(&house.gate, cx, &account, None, body(exemption.clone()));
    assert_eq!(ask(&owner(CUSTOMER)).unwrap_err().code(), "billingAccount.issuer", "nobody exempts themselves");
    ask(&Cx::system("clerk", OPERATOR)).unwrap();
    house.jump("2026-08-01T00:00:00Z");
    let bill = house.bill(&account, "2026-07-31T16:00:00Z");
    assert_eq!((bill.bill.tax.0.minor, bill.bill.net, bill.bill.total), (0, bill.bill.total, bill.bill.net));
}

#[test]
fn a_month_is_closed_once_by_the_calendar_of_the_operator() {
    for house in houses() {
        let registry = work::register(durable::Registry::default());
        let engine = durable::Engine::new(house.gate.clone(), registry).unwrap();
        for (service, tenant) in [("web", CUSTOMER), ("shop", TenantId(3))] {
            house.start(start(service, tenant, "2026-07-19T02:00:00Z", tariff()));
        }
        // Half an hour into August in Taipei the agents may still have news of July.
        house.jump("2026-07-31T16:30:00Z");
        let now = house.gate.run(&Cx::system("billing", OPERATOR), &CLOSE, CloseInput {}).unwrap();
        assert_eq!((now.month.as_str(), now.accounts), ("2026-06", 0), "{}: nobody was here in June", house.engine);
        house.jump("2026-07-31T18:00:00Z");
        for _ in 0..3 {
            let asked = house.gate.run(&Cx::system("billing", OPERATOR), &CLOSE, CloseInput {}).unwrap();
            assert_eq!((asked.month.as_str(), asked.more), ("2026-07", false));
            engine.settle().unwrap();
        }
        let bills = house.gate.run(&clerk(), &LIST, ListInput::default()).unwrap().bills;
        assert_eq!(bills.len(), 2);
        assert!(bills.iter().all(|bill| bill.period_end == at("2026-07-31T16:00:00Z")));
        let record = CUSTOMER_BILL.get(&house.gate, &owner(CUSTOMER), &bills[1].id).unwrap();
        assert_eq!(
            (record.body["runType"].as_str(), record.body["nextBillDate"].as_str()),
            (Some("onCycle"), Some("2026-08-31T16:00:00Z"))
        );
    }
}

#[test]
fn a_service_is_metered_as_what_it_was_sold_as() {
    for house in houses() {
        let records = [
            (
                "prd_1",
                "product",
                json!({
                    "name": "My server", "startDate": "2026-07-19T02:00:00Z", "realizingService": [{ "id": "svc_1" }, { "id": "svc_2" }],
                    "productCharacteristic": [
                        { "name": "vcpu", "value": 2 }, { "name": "disk", "value": 40 }, { "name": "greeting", "value": "Hello" }, { "name": "sshKey", "value": ["a"] },
                    ],
                    "productPrice": [
                        { "name": "Setup", "priceType": "oneTime", "price": taiwan(100.0), "productOfferingPrice": { "id": "pop_1" } },
                        { "name": "Disk", "priceType": "usage", "unitOfMeasure": "GiB disk-hour", "price": taiwan(0.5), "productOfferingPrice": { "id": "pop_2" } },
                    ],
                }),
            ),
            ("svc_1", "service", json!({ "product": { "id": "prd_1" } })),
            ("svc_2", "service", json!({ "product": { "id": "prd_1" } })),
        ];
        for (id, kind, json) in records {
            store_record(&house, id, kind, body(json));
        }
        for service in ["svc_1", "svc_2", "svc_1"] {
            house.act(move |tx| usage::service_activated(tx, service)).unwrap();
        }
        assert_eq!(house.count("meters"), 1, "one product, one meter");
        house.jump("2026-07-19T12:00:00Z");
        house.act(|tx| usage::end(tx, "svc_1", tx.now)).unwrap();
        let account = house.account(CUSTOMER);
        let bill = house.bill(&account, "2026-07-19T12:00:00Z");
        assert_eq!(shown(&bill), ["2026-07 Setup 1 once 100", "2026-07 Disk 400 GiB disk-hour 200"]);
        assert_eq!(bill.lines[0].name, "My server");
    }
}

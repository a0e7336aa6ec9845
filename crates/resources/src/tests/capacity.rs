use std::collections::HashSet;
use std::sync::Mutex;

use base::Kind;

use crate::capacity::{self, GetCapacity, State};
use crate::claims::{self, Holder};
use crate::placement::{Demand, Policy};
use crate::places::{CREATE_SUBNET, ChangePool, Factors, NewSubnet, Ratio, UPDATE_POOL};
use crate::{IntentId, hosts, intents, work};

use super::*;

#[test]
fn a_host_is_filled_to_what_its_pool_sells_and_no_further() {
    each_engine(|house| {
        let (host, _) = house.host("h1");
        assert_eq!(house.free(host), [16, 16_384, 100_000], "{}", house.engine);
        for n in 0..8 {
            assert_eq!(house.reserve(&format!("m{n}"), Demand::of([2, 1_024, 500])).unwrap().host, host);
        }
        let none = house.reserve("m8", Demand::of([1, 1, 1])).unwrap_err();
        assert_eq!((none.kind(), none.code()), (Kind::Exhausted, "capacity.none_fits"));
        // The same machine again is the same reservation; another demand under its id is refused.
        assert_eq!(house.reserve("m3", Demand::of([2, 1_024, 500])).unwrap().host, host);
        assert_eq!(house.reserve("m3", Demand::of([1, 1_024, 500])).unwrap_err().code(), "reservation.differs");
        assert_eq!(house.free(host), [0, 8_192, 96_000]);
        house.assert_sound();
    });
}

#[test]
fn a_reservation_goes_from_held_to_in_use_to_released_and_back_to_the_host() {
    each_engine(|house| {
        let (host, _) = house.host("h1");
        let demand = Demand::of([4, 2_048, 0]);
        for (id, run) in [("never-ran", false), ("ran", true)] {
            house.reserve(id, demand).unwrap();
            let machine: IntentId = id.parse().unwrap();
            house
                .tx(move |tx| {
                    if run {
                        capacity::in_use(tx, &machine)?;
                        capacity::in_use(tx, &machine)?;
                        assert_eq!(capacity::of(tx, machine.as_str())?.unwrap().state, State::InUse);
                    }
                    capacity::free(tx, &machine)?;
                    capacity::free(tx, &machine)?;
                    assert_eq!(capacity::in_use(tx, &machine).unwrap_err().code(), "reservation.over");
                    Ok(())
                })
                .unwrap();
            assert_eq!(house.free(host), [16, 16_384, 100_000]);
            assert_eq!(house.reserve(id, demand).unwrap_err().code(), "reservation.over");
        }
        house.assert_sound();
    });
}

#[test]
fn what_a_wanted_machine_holds_is_not_free_until_it_was_seen_to_be_gone() {
    each_engine(|house| {
        let (host, _) = house.host("h1");
        house.order("m1");
        let free = |house: &House| house.tx(|tx| capacity::free(tx, &"m1".parse().unwrap())).unwrap_err();
        assert_eq!(free(&house).code(), "capacity.machine_not_gone");
        house.tx(|tx| intents::absent(tx, &"m1".parse().unwrap())).unwrap();
        assert_eq!(free(&house).code(), "capacity.machine_not_gone");
        assert_eq!(house.free(host), [14, 15_360, 99_500]);
    });
}

#[test]
fn nothing_is_wanted_that_was_not_reserved() {
    each_engine(|house| {
        let (host, _) = house.host("h1");
        let (other, _) = house.host("h2");
        house.reserve("m1", Demand::of([1, 1_024, 500])).unwrap();
        let wanted = house.tx(|tx| capacity::of(tx, "m1")).unwrap().unwrap().host;
        let elsewhere = if wanted == host { other } else { host };
        for (place, id) in [(wanted, "m1"), (elsewhere, "m1"), (host, "m2")] {
            let refused = house
                .tx(move |tx| {
                    let want = Want {
                        id: &id.parse().unwrap(),
                        host: place,
                        spec: &spec("x"),
                        tenant: CUSTOMER,
                        service: "s",
                        standing: intents::Standing::Serving,
                    };
                    intents::put(tx, &want)
                })
                .unwrap_err();
            assert_eq!(refused.code(), "intent.not_reserved");
        }
    });
}

#[test]
fn many_orders_at_once_never_share_a_core_a_port_or_an_address() {
    each_engine(|house| {
        for n in 0..3 {
            house.host(&format!("h{n}"));
        }
        let subnet = NewSubnet {
            pool: house.pool.id,
            name: "net".into(),
            cidr: "192.0.2.0/27".into(),
            gateway: Some("192.0.2.1".parse().unwrap()),
            bridge: "br0".into(),
            first: None,
            last: None,
        };
        let subnet = house.gate.run(&staff(), &CREATE_SUBNET, subnet).unwrap().id;
        let placed = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for worker in 0..6 {
                let (house, placed) = (&house, &placed);
                scope.spawn(move || {
                    for n in 0..6 {
                        let id = format!("m{worker}-{n}");
                        let ask = ask(&id, Demand::of([2, 1_024, 1]));
                        let taken = house.tx(move |tx| {
                            let host = capacity::reserve(tx, &ask)?.host;
                            let holder = |slot| Holder { machine: &ask.machine, slot, tenant: CUSTOMER };
                            let port = claims::port(tx, holder("http"), host)?;
                            let again = claims::port(tx, holder("http"), host)?;
                            assert_eq!(port, again);
                            let address = claims::address(tx, holder("eth0"), subnet)?.address;
                            let mac = claims::mac(tx, holder("eth0"), 0)?;
                            Ok((host, port, address, mac.to_string()))
                        });
                        match taken {
                            Ok(taken) => placed.lock().unwrap().push(taken),
                            Err(e) => assert_eq!(e.kind(), Kind::Exhausted, "{}: {e:?}", house.engine),
                        }
                    }
                });
            }
        });
        let placed = placed.into_inner().unwrap();
        // 3 hosts with 16 cores for sale take 24 machines with 2; the 32 addresses are enough for them.
        assert_eq!(placed.len(), 24, "{}", house.engine);
        let distinct = |count: usize| assert_eq!(count, placed.len(), "{}", house.engine);
        distinct(placed.iter().map(|taken| (taken.0, taken.1)).collect::<HashSet<_>>().len());
        distinct(placed.iter().map(|taken| taken.2).collect::<HashSet<_>>().len());
        distinct(placed.iter().map(|taken| taken.3.clone()).collect::<HashSet<_>>().len());
        assert!(!placed.iter().any(|taken| taken.2.to_string() == "192.0.2.1" || taken.2.to_string() == "192.0.2.31"));
        house.assert_sound();
    });
}

#[test]
fn a_range_that_is_used_up_says_so_and_a_number_that_came_free_is_given_again() {
    each_engine(|house| {
        let (host, _) = house.host("h1");
        let port = |house: &House, id: &str| {
            let id: IntentId = id.parse().unwrap();
            house.tx(move |tx| claims::port(tx, Holder { machine: &id, slot: "http", tenant: CUSTOMER }, host))
        };
        for n in 0..100 {
            assert_eq!(port(&house, &format!("m{n}")).unwrap(), 20_000 + n);
        }
        assert_eq!(port(&house, "late").unwrap_err().code(), "claim.none_left");
        work::abandoned(&house.gate).unwrap();
        assert_eq!(port(&house, "late").unwrap(), 20_000, "nobody stood behind those claims");
    });
}

#[test]
fn machines_of_a_group_stand_apart() {
    each_engine(|house| {
        house.host("h1");
        house.host("h2");
        let apart = |house: &House, id: &str| {
            let mut ask = ask(id, Demand::of([1, 1, 1]));
            ask.policy = Policy { apart: "web".into(), ..Policy::default() };
            house.tx(move |tx| capacity::reserve(tx, &ask))
        };
        let (a, b) = (apart(&house, "a").unwrap().host, apart(&house, "b").unwrap().host);
        assert_ne!(a, b);
        assert_eq!(apart(&house, "c").unwrap_err().code(), "capacity.none_fits");
        house.tx(|tx| capacity::free(tx, &"a".parse().unwrap())).unwrap();
        assert_eq!(apart(&house, "c").unwrap().host, a);
    });
}

#[test]
fn a_lower_factor_takes_back_what_is_free_now_and_the_rest_as_machines_go() {
    each_engine(|house| {
        let (host, _) = house.host("h1");
        house.reserve("m1", Demand::of([12, 1, 1])).unwrap();
        let one = Ratio { over: 1, under: 1 };
        let factors = Some(Factors { vcpu: one, memory: one, disk: Ratio { over: 1, under: 2 } });
        house
            .gate
            .run(&staff(), &UPDATE_POOL, ChangePool { id: house.pool.id, revision: Some(1), name: None, factors })
            .unwrap();
        assert_eq!(house.free(host), [0, 16_383, 49_999]);
        work::supply(&house.gate).unwrap();
        assert_eq!(house.free(host)[0], 0);
        house.tx(|tx| capacity::free(tx, &"m1".parse().unwrap())).unwrap();
        work::supply(&house.gate).unwrap();
        assert_eq!(house.free(host), [8, 16_384, 50_000]);
        let shown = house.gate.run(&staff(), &capacity::GET, GetCapacity::default()).unwrap();
        assert_eq!((shown.pools[0].hosts, shown.pools[0].fill.total.vcpu, shown.hosts.len()), (1, 8, 1));
        house.assert_sound();
    });
}

#[test]
fn a_draining_host_takes_nothing_new_and_an_empty_one_can_go() {
    each_engine(|house| {
        let (host, guest) = house.host("h1");
        house.order("m1");
        house.gate.run(&staff(), &hosts::DRAIN, hosts::HostRef { id: host }).unwrap();
        assert_eq!(house.reserve("m2", Demand::of([1, 1, 1])).unwrap_err().code(), "capacity.none_fits");
        let retire =
            |gone| house.gate.run(&staff(), &hosts::RETIRE, hosts::RetireHost { id: host, machines_are_gone: gone });
        assert_eq!(retire(false).unwrap_err().code(), "host.not_empty");
        assert_eq!(retire(true).unwrap().state, hosts::State::Retired);
        assert!(house.intent("m1").is_gone());
        assert_eq!(house.free(host), [0, 0, 0]);
        assert_eq!(retire(true).unwrap().state, hosts::State::Retired);
        let back = house.gate.run(&staff(), &hosts::ACTIVATE, hosts::HostRef { id: host }).unwrap_err();
        assert_eq!(back.code(), "host.illegal_move");
        assert_eq!(wait(house.door.intents(&guest, 0, Default::default())).unwrap_err().code(), "host.not_found");
        house.assert_sound();
    });
}

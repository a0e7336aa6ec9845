//! Looking into recovery points, with agents that are played: what is told, who is told, and what
//! is left when somebody dies.

use std::sync::Arc;
use std::time::Duration;

use base::id::TenantId;
use base::{Error, limits};
use commerce::testing::{OPERATOR, manager, member};
use drivers::wire::{HostTask, TaskId, Work};
use gate::Cx;
use resources::handed::Handed;
use resources::observe::{POLL, Poll};
use resources::tasks::{self, TaskRef};
use resources::testing::agent;

use super::actions::{self, Browse, Fetch, ListReadings, ReadingRef};
use super::{Reading, State, sweep};
use crate::RecoveryPointId;
use crate::backups::points::{self, CopyState, RecoveryPoint};
use crate::backups::tests::{Answer, Behaviour, CUSTOMER, House, each_house};

fn browse(id: RecoveryPointId, path: &str) -> Browse {
    Browse { id, part: None, place: None, path: path.into(), after: String::new() }
}

fn fetch(id: RecoveryPointId, path: &str) -> Fetch {
    Fetch { id, part: None, place: None, path: path.into() }
}

impl House {
    fn look(&self, what: Browse) -> base::Result<Reading> {
        self.gate().run(&member(CUSTOMER), &actions::BROWSE, what)
    }

    fn reading(&self, one: &Reading) -> Reading {
        self.gate().run(&member(CUSTOMER), &actions::GET, ReadingRef { id: one.id }).unwrap()
    }

    fn handed(&self) -> Arc<Handed> {
        self.gate().installed::<Handed>().unwrap()
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.keep.path().join("downloads")).unwrap().count()
    }

    fn tasks(&self) -> Vec<(HostTask, base::id::HostId)> {
        let of = |host: &base::id::HostId| {
            let asked = self.gate().run(&agent(*host, OPERATOR), &POLL, Poll { after: 0 }).unwrap().tasks;
            asked.into_iter().map(|task| (task, *host)).collect::<Vec<_>>()
        };
        self.town.hosts.iter().flat_map(of).collect()
    }
}

/// Agents that hand over what they fetch, as the entrance takes it.
fn handing(handed: Arc<Handed>) -> Behaviour {
    Behaviour::of(move |task, _, outcome| {
        if let Work::FetchFile { bytes_max, .. } = &task.work {
            let mut coming = handed.begin(&task.id, 5, *bytes_max).unwrap();
            coming.write(b"bytes").unwrap();
            coming.finish().unwrap();
        }
        Answer::Say(outcome)
    })
}

/// A house with a point, and a folder for what is fetched.
fn each(test: impl Fn(&House, RecoveryPoint)) {
    each_house(|_, house| {
        house.gate().install(Arc::new(Handed::open(&house.keep.path().join("downloads")).unwrap()));
        let point = house.taken();
        test(&house, point);
    });
}

fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> String {
    result.unwrap_err().code().to_owned()
}

#[test]
fn a_directory_is_asked_for_once_and_told_again() {
    each(|house, point| {
        let asked = house.look(browse(point.id, "")).unwrap();
        assert_eq!(
            (asked.state, asked.path.as_str(), asked.top.as_str()),
            (State::Waiting, "/machines/m", "/machines/m")
        );
        assert_eq!(asked.place, point.parts[0].copies[0].place);
        let tasks = house.tasks();
        assert_eq!(tasks.len(), 1);
        let snapshot = point.parts[0].copies[0].snapshot.clone().unwrap();
        assert!(
            matches!(&tasks[0].0.work, Work::LookInto { snapshot: s, path, .. } if *s == snapshot && path == "/machines/m")
        );
        house.settle(&Behaviour::willing());
        let told = house.reading(&asked);
        assert_eq!((told.state, told.items.len(), told.next.as_deref()), (State::Ready, 2, Some("etc")));
        // The same again is the same one; another page is another.
        assert_eq!(house.look(browse(point.id, "")).unwrap().id, asked.id);
        let next = house.look(Browse { after: "etc".into(), ..browse(point.id, "") }).unwrap();
        assert_ne!(next.id, asked.id);
        assert_eq!(house.tasks().len(), 1);
        house.settle(&Behaviour::willing());
        // After an hour nothing of it is there any more.
        house.gate().clock().advance(Duration::from_secs(3_601));
        assert_eq!(house.reading(&asked).state, State::Over);
        sweep(house.gate()).unwrap();
        assert_eq!(house.count("SELECT COUNT(*) FROM readings"), 0);
        assert_eq!(house.count("SELECT COUNT(*) FROM host_tasks WHERE subject_kind = 'reading'"), 0);
    });
}

#[test]
fn a_file_is_handed_over_taken_and_then_gone_but_it_stays_known_who_took_it() {
    each(|house, point| {
        let cx = member(CUSTOMER);
        let asked =
            house.gate().run(&cx, &actions::FETCH, fetch(point.id, "/machines/m/system/p1/etc/a%0a100%25")).unwrap();
        let take = || house.gate().run(&cx, &actions::DOWNLOAD, ReadingRef { id: asked.id });
        assert_eq!(code(take()), "reading.not_ready");
        house.settle(&handing(house.handed()));
        let ready = house.reading(&asked);
        assert_eq!((ready.state, ready.bytes, ready.file_name.as_deref()), (State::Ready, Some(5), Some("a%0a100%")));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ticket, mut file) = runtime.block_on(super::take(house.gate(), &cx, &asked.id.to_string())).unwrap();
        let mut bytes = String::new();
        std::io::Read::read_to_string(&mut file, &mut bytes).unwrap();
        assert_eq!((ticket.bytes, bytes.as_str()), (5, "bytes"));
        // Where that broke off it can be taken again, for ten minutes.
        house.gate().clock().advance(Duration::from_secs(540));
        assert!(take().is_ok());
        sweep(house.gate()).unwrap();
        assert_eq!(house.files(), 1);
        house.gate().clock().advance(Duration::from_secs(61));
        assert_eq!(code(take()), "reading.not_ready");
        sweep(house.gate()).unwrap();
        assert_eq!(
            (house.files(), house.count("SELECT COUNT(*) FROM host_tasks WHERE subject_kind = 'reading'")),
            (0, 0)
        );
        let known = house.gate().run(&cx, &actions::LIST, ListReadings { id: point.id }).unwrap().items;
        assert_eq!((known.len(), known[0].state), (1, State::Over));
        assert_eq!((known[0].path.as_str(), known[0].asked_by.clone()), (asked.path.as_str(), cx.actor().to_string()));
        assert!(known[0].taken_at.is_some());
        let logged = "SELECT COUNT(*) FROM audit_entries WHERE action = 'reading.download' AND outcome = 'done'";
        assert_eq!(house.count(logged), 2);
    });
}

#[test]
fn a_host_that_does_not_answer_holds_nobody_up() {
    each(|house, point| {
        let asked = house.look(browse(point.id, "")).unwrap();
        house.gate().clock().advance(Duration::from_secs(301));
        let late = house.reading(&asked);
        assert_eq!((late.state, late.problem.unwrap().code.as_str()), (State::Failed, "reading.late"));
        sweep(house.gate()).unwrap();
        assert!(house.tasks().is_empty());
        assert_eq!(house.reading(&asked).problem.unwrap().code, "reading.late");
        // Whoever asks again gets another try.
        assert_ne!(house.look(browse(point.id, "")).unwrap().id, asked.id);
    });
}

#[test]
fn a_copy_that_is_found_damaged_is_marked_and_the_next_one_is_read() {
    each(|house, point| {
        let first = house.look(browse(point.id, "")).unwrap();
        house.settle(&Behaviour::of(|_, _, _| Answer::Fail(vault::fault::REPOSITORY_DAMAGED.into())));
        assert_eq!(house.reading(&first).problem.unwrap().code, vault::fault::REPOSITORY_DAMAGED);
        let now = house.point(point.id);
        assert_eq!((now.state, now.parts[0].copies[0].state), (points::State::Degraded, CopyState::Damaged));
        let second = house.look(browse(point.id, "")).unwrap();
        assert_eq!(second.place, point.parts[0].copies[1].place);
        let damaged = Browse { place: Some(first.place), ..browse(point.id, "") };
        assert_eq!(code(house.look(damaged)), "reading.no_copy");
        // What is wrong with the guest's own disk says nothing of the copy.
        house.settle(&Behaviour::of(|_, _, _| Answer::Fail(vault::fault::FILESYSTEM_DAMAGED.into())));
        assert_eq!(house.point(point.id).parts[0].copies[1].state, CopyState::Verified);
    });
}

#[test]
fn what_leads_elsewhere_is_refused_and_so_is_too_much() {
    each(|house, point| {
        for path in ["/etc/../shadow", "/%2e%2e", "/a%2fb", "/%", "/a\u{0}%zz"] {
            assert_eq!(code(house.look(browse(point.id, path))), "reading.path", "{path:?}");
            let fetched = house.gate().run(&member(CUSTOMER), &actions::FETCH, fetch(point.id, path));
            assert_eq!(code(fetched), "reading.path", "{path:?}");
        }
        assert_eq!(code(house.look(browse(point.id, &format!("/{}", "x".repeat(9_000))))), "reading.path");
        assert_eq!(code(house.look(browse(point.id, &"/x".repeat(129)))), "reading.path");
        assert_eq!(code(house.gate().run(&member(CUSTOMER), &actions::FETCH, fetch(point.id, "/"))), "reading.path");
        let other = Browse { part: Some("vm_other".into()), ..browse(point.id, "") };
        assert_eq!(code(house.look(other)), "reading.part");
        for after in ["..".to_owned(), "x".repeat(1_025)] {
            let page = Browse { after, ..browse(point.id, "") };
            assert_eq!(code(house.look(page)), "reading.path");
        }
        assert!(house.tasks().is_empty());
        for n in 0..limits::LOOKS_OPEN_PER_TENANT_MAX {
            house.look(browse(point.id, &format!("/d{n}"))).unwrap();
        }
        assert_eq!(code(house.look(browse(point.id, "/more"))), "reading.too_many");
    });
}

#[test]
fn few_files_are_fetched_at_a_time_and_those_that_failed_hold_nobody_up() {
    each(|house, point| {
        let ask = |n: usize| house.gate().run(&member(CUSTOMER), &actions::FETCH, fetch(point.id, &format!("/f{n}")));
        for n in 0..limits::DOWNLOADS_OPEN_PER_TENANT_MAX {
            ask(n).unwrap();
        }
        assert_eq!(code(ask(50)), "reading.too_many");
        let fail = Behaviour::of(|_, _, _| Answer::Fail(vault::fault::FILESYSTEM_DAMAGED.into()));
        house.settle(&fail);
        for n in 0..limits::DOWNLOADS_PER_TENANT_MAX {
            ask(100 + n).unwrap();
            house.settle(&fail);
        }
        for n in 0..limits::DOWNLOADS_PER_TENANT_MAX {
            ask(200 + n).unwrap();
            house.settle(&handing(house.handed()));
        }
        assert_eq!(code(ask(300)), "reading.too_many");
        // One that is there already is told again.
        assert_eq!(ask(200).unwrap().state, State::Ready);
    });
}

#[test]
fn a_silent_host_is_not_asked() {
    each(|house, point| {
        let quiet = "UPDATE hosts SET reachable = $1";
        house.gate().db().write(move |conn| conn.execute(quiet, db::args![false]).map(drop)).unwrap();
        assert_eq!(code(house.look(browse(point.id, ""))), "reading.no_host");
    });
}

#[test]
fn only_the_host_of_an_open_reading_is_given_its_key_and_only_that_one() {
    each(|house, point| {
        let asked =
            house.gate().run(&member(CUSTOMER), &actions::FETCH, fetch(point.id, "/machines/m/system")).unwrap();
        let (task, host) = house.tasks().remove(0);
        let access = |host| house.gate().run(&agent(host, OPERATOR), &tasks::ACCESS, TaskRef { id: task.id.clone() });
        let other = house.town.hosts.iter().copied().find(|one| *one != host).unwrap();
        assert_eq!(access(host).unwrap().as_array().unwrap().len(), 1);
        assert_eq!(code(access(other)), "task.not_found");
        let hand =
            |host, id: &TaskId| house.gate().run(&agent(host, OPERATOR), &tasks::HAND_OVER, TaskRef { id: id.clone() });
        assert_eq!(hand(host, &task.id).unwrap().bytes_max, limits::DOWNLOAD_BYTES_MAX);
        assert_eq!(code(hand(other, &task.id)), "task.not_found");
        house.settle(&handing(house.handed()));
        assert_eq!(house.reading(&asked).state, State::Ready);
        assert_eq!(code(access(host)), "task.not_found");
        assert_eq!(code(hand(host, &task.id)), "task.not_found");
        // A host that looks into a directory hands over nothing.
        house.look(browse(point.id, "")).unwrap();
        let (look, host) = house.tasks().remove(0);
        assert_eq!(code(hand(host, &look.id)), "task.not_found");
    });
}

#[test]
fn nobody_else_sees_what_was_read() {
    each(|house, point| {
        let asked = house.gate().run(&member(CUSTOMER), &actions::FETCH, fetch(point.id, "/x")).unwrap();
        house.settle(&handing(house.handed()));
        let stranger = member(77);
        let this = || ReadingRef { id: asked.id };
        let refused = [
            code(house.gate().run(&stranger, &actions::BROWSE, browse(point.id, ""))),
            code(house.gate().run(&stranger, &actions::FETCH, fetch(point.id, "/x"))),
            code(house.gate().run(&stranger, &actions::GET, this())),
            code(house.gate().run(&stranger, &actions::DOWNLOAD, this())),
            code(house.gate().run(&stranger, &actions::LIST, ListReadings { id: point.id })),
        ];
        for refusal in refused {
            assert!(refusal.ends_with("not_found"), "{refusal}");
        }
        let nobody = Cx::nobody(TenantId(CUSTOMER));
        assert!(house.gate().run(&nobody, &actions::DOWNLOAD, this()).is_err());
        // The operator's staff as far as their reach goes, as with a restore.
        assert!(house.gate().run(&manager(), &actions::GET, this()).is_ok());
    });
}

#[test]
fn a_file_that_differs_from_what_was_told_is_not_given_out() {
    each(|house, point| {
        let cx = member(CUSTOMER);
        let asked = house.gate().run(&cx, &actions::FETCH, fetch(point.id, "/x")).unwrap();
        house.settle(&handing(house.handed()));
        let (file,): (String,) = house
            .gate()
            .db()
            .read(|conn| conn.query_one("SELECT task FROM readings", &[], |row| Ok((row.get(0)?,))))
            .unwrap();
        std::fs::write(house.handed().path(&file), b"cut").unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let taken = runtime.block_on(super::take(house.gate(), &cx, &asked.id.to_string()));
        assert_eq!(taken.err().unwrap().code(), "reading.not_ready");
    });
}

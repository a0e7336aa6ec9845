//! Inventories on a real database, on both engines; their files as tables and properties.

use base::Kind as ErrorKind;
use commerce::testing::{OPERATOR, manager, member};
use gate::Cx;
use proptest::prelude::*;

use super::actions::*;
use super::import::*;
use super::*;
use crate::backups::tests::{CUSTOMER, House};

fn each(test: impl Fn(House)) {
    for (_, db, _keep) in db::testing::databases() {
        let (house, _, _) = House::sheltered(db);
        house.taken();
        test(house);
    }
}

pub(crate) fn new(kind: Kind, name: &str, key: &str) -> NewThing {
    NewThing {
        tenant: None,
        kind,
        name: name.into(),
        key: Some(key.into()),
        within: None,
        needs: vec![],
        said: Said::default(),
    }
}

pub(crate) fn needs(at_least: u32, of: &[&str]) -> Needs {
    Needs { at_least, of: of.iter().map(|one| (*one).to_owned()).collect(), known: false }
}

pub(crate) fn add(house: &House, cx: &Cx, thing: NewThing) -> base::Result<ThingDetail> {
    house.gate().run(cx, &ADD, thing)
}

fn all(house: &House, cx: &Cx) -> Vec<Thing> {
    house.gate().run(cx, &LIST, ListInventory { limit: Some(1_000), ..Default::default() }).unwrap().items
}

fn get(house: &House, cx: &Cx, id: &str) -> base::Result<ThingDetail> {
    house.gate().run(cx, &GET, ThingRef { id: id.into(), tenant: None })
}

pub(crate) fn put(id: &str) -> PutThing {
    PutThing {
        id: id.into(),
        tenant: None,
        revision: None,
        name: None,
        key: None,
        within: None,
        needs: None,
        said: Said::default(),
    }
}

fn code<T>(result: base::Result<T>) -> String {
    result.map(drop).unwrap_err().code().to_owned()
}

fn words(things: &[Thing]) -> Vec<&'static str> {
    let mut words: Vec<_> = things.iter().map(|one| one.kind.word()).collect();
    words.sort_unstable();
    words
}

#[test]
fn a_tenant_sees_what_its_services_stand_on_and_nothing_else_of_the_operator() {
    each(|house| {
        let (host, machine) = house.machine();
        let there = all(&house, &member(CUSTOMER));
        // Two hosts there are; the customer's machine and copy are on one.
        assert_eq!(words(&there), ["backupPlace", "backupPlace", "host", "resource", "service", "site"]);
        let find = |id: &str| there.iter().find(|one| one.id == id).unwrap();
        assert_eq!(find(&house.service).needs, [Needs::one(&machine)]);
        assert_eq!(find(&machine).within, Some(host.to_string()));
        assert!(find(&host.to_string()).within.as_ref().is_some_and(|site| site.starts_with("site_")));
        let other = house.town.hosts.iter().find(|one| **one != host).unwrap().to_string();
        assert_eq!(code(get(&house, &member(CUSTOMER), &other)), "inventory.not_found");
        // Somebody else has nothing at all, and finds nothing.
        let stranger = member(3);
        assert!(all(&house, &stranger).is_empty());
        for id in [&house.service, &machine, &host.to_string()] {
            assert_eq!(code(get(&house, &stranger, id)), "inventory.not_found");
            assert_eq!(code(house.gate().run(&stranger, &PUT, put(id))), "inventory.not_found");
        }
        let theirs = ListInventory { tenant: Some(base::id::TenantId(CUSTOMER)), ..Default::default() };
        assert_eq!(house.gate().run(&stranger, &LIST, theirs).unwrap_err().kind(), ErrorKind::NotFound);
    });
}

#[test]
fn the_operator_sees_all_hosts_and_whose_services_stand_there() {
    each(|house| {
        let there = all(&house, &manager());
        assert_eq!(there.iter().filter(|one| one.kind == Kind::Host).count(), 2);
        let service = there.iter().find(|one| one.id == house.service).unwrap();
        assert_eq!(service.tenant, base::id::TenantId(CUSTOMER));
        // What a customer adds is the customer's business.
        add(&house, &member(CUSTOMER), new(Kind::Person, "陳小姐", "chen")).unwrap();
        assert!(all(&house, &manager()).iter().all(|one| one.kind != Kind::Person));
        // What the operator says of a host, a customer does not see.
        let host = house.machine().0.to_string();
        let said = Said { note: "secret".into(), ..Said::default() };
        house.gate().run(&manager(), &PUT, PutThing { said, ..put(&host) }).unwrap();
        assert_eq!(get(&house, &member(CUSTOMER), &host).unwrap().thing.said.note, "");
        assert_eq!(get(&house, &manager(), &host).unwrap().thing.said.note, "secret");
        assert_eq!(house.gate().operator().unwrap(), OPERATOR);
    });
}

#[test]
fn what_stands_where_is_read_live() {
    each(|house| {
        let (host, machine) = house.machine();
        let other = *house.town.hosts.iter().find(|one| **one != host).unwrap();
        let id = machine.clone();
        let moved = move |conn: &mut db::Conn<'_>| {
            conn.execute("UPDATE intents SET host = $2 WHERE id = $1", db::args![id, other])
        };
        house.gate().db().write(moved).unwrap();
        assert_eq!(get(&house, &member(CUSTOMER), &machine).unwrap().thing.within, Some(other.to_string()));
        assert_eq!(house.count("SELECT COUNT(*) FROM inventory_nodes"), 0);
    });
}

#[test]
fn people_add_and_say_what_the_platform_cannot_know() {
    each(|house| {
        let cx = &member(CUSTOMER);
        for key in ["feed-a", "feed-b"] {
            add(&house, cx, new(Kind::Power, key, key)).unwrap();
        }
        let mut sales = new(Kind::Activity, "接單", "sales");
        sales.needs = vec![needs(1, &[&house.service]), needs(1, &["feed-a", "feed-b"])];
        sales.said = Said { importance: Some(5), owner: " 業務部 ".into(), ..Said::default() };
        let sales = add(&house, cx, sales).unwrap();
        assert!(sales.thing.id.starts_with("inv_") && sales.thing.said.owner == "業務部");
        assert_eq!(sales.names.len(), 3);
        let feed = get(&house, cx, "feed-a").unwrap();
        assert_eq!(feed.needed_by, std::slice::from_ref(&sales.thing.id));
        // What is needed is not removed under those who need it.
        let remove = |id: &str| house.gate().run(cx, &REMOVE, ThingRef { id: id.into(), tenant: None });
        assert_eq!(code(remove("feed-a")), "inventory.needed");
        let without = PutThing { needs: Some(vec![]), revision: Some(1), ..put("sales") };
        let changed = house.gate().run(cx, &PUT, without.clone()).unwrap();
        assert_eq!((changed.thing.needs.len(), changed.thing.revision), (0, 2));
        assert_eq!(code(house.gate().run(cx, &PUT, without)), "inventory.stale");
        remove("feed-a").unwrap();
        assert_eq!(code(get(&house, cx, "feed-a")), "inventory.not_found");
    });
}

#[test]
fn how_many_of_its_own_machines_suffice_counts_instead_of_all() {
    each(|house| {
        let (_, machine) = house.machine();
        let cx = &member(CUSTOMER);
        add(&house, cx, new(Kind::Resource, "spare", "spare")).unwrap();
        let either = PutThing { needs: Some(vec![needs(1, &[&machine, "spare"])]), ..put(&house.service) };
        let detail = house.gate().run(cx, &PUT, either).unwrap();
        assert_eq!((detail.thing.needs.len(), detail.thing.needs[0].of.len()), (1, 2));
        assert!(!detail.thing.needs[0].known);
        // Taken back, what is known holds again.
        house.gate().run(cx, &PUT, PutThing { needs: Some(vec![]), ..put(&house.service) }).unwrap();
        assert_eq!(get(&house, cx, &house.service).unwrap().thing.needs, [Needs::one(&machine)]);
    });
}

#[test]
fn a_host_stands_in_a_rack_of_its_own_site_only() {
    each(|house| {
        let (cx, host) = (&manager(), house.machine().0.to_string());
        let site = get(&house, cx, &host).unwrap().thing.within.unwrap();
        add(&house, cx, NewThing { within: Some(site), ..new(Kind::Rack, "R1", "r1") }).unwrap();
        add(&house, cx, new(Kind::Rack, "R2", "r2")).unwrap();
        let into = |rack: &str| PutThing { within: Some(rack.into()), ..put(&host) };
        assert_eq!(code(house.gate().run(cx, &PUT, into("r2"))), "inventory.within_known");
        let put_in = house.gate().run(cx, &PUT, into("r1")).unwrap();
        assert_eq!(put_in.names[&put_in.thing.within.unwrap()], "R1");
        // The rack is carried away: the host stays known to stand at its site.
        house.gate().run(cx, &PUT, put("r1")).unwrap();
        assert!(get(&house, cx, &host).unwrap().thing.within.unwrap().starts_with("site_"));
    });
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    each(|house| {
        let cx = &member(CUSTOMER);
        add(&house, cx, new(Kind::Site, "Office", "office")).unwrap();
        add(&house, cx, NewThing { within: Some("office".into()), ..new(Kind::Rack, "Rack", "rack") }).unwrap();
        add(&house, cx, new(Kind::Person, "Wang", "wang")).unwrap();
        let wrong = |thing: NewThing| code(add(&house, cx, thing));
        assert_eq!(wrong(new(Kind::Host, "h", "h")), "inventory.kind");
        assert_eq!(wrong(new(Kind::Power, "", "p")), "inventory.text");
        assert_eq!(wrong(new(Kind::Power, "p", "wang")), "inventory.key_taken");
        assert_eq!(wrong(new(Kind::Power, "p", &house.service)), "inventory.key_taken");
        let inside = |within: &str| NewThing { within: Some(within.into()), ..new(Kind::Power, "p", "p") };
        assert_eq!(wrong(inside("nowhere")), "inventory.absent");
        assert_eq!(wrong(inside("wang")), "inventory.within_kind");
        let of = |needs: Vec<Needs>| NewThing { needs, ..new(Kind::Power, "p", "p") };
        assert_eq!(wrong(of(vec![needs(1, &["nobody"])])), "inventory.absent");
        assert_eq!(wrong(of(vec![needs(2, &["wang"])])), "inventory.at_least");
        assert_eq!(wrong(of(vec![needs(0, &["wang"])])), "inventory.at_least");
        assert_eq!(wrong(of(vec![needs(1, &["wang", "wang"])])), "inventory.twice");
        let said = |said: Said| NewThing { said, ..new(Kind::Power, "p", "p") };
        assert_eq!(wrong(said(Said { importance: Some(6), ..Said::default() })), "inventory.importance");
        assert_eq!(wrong(said(Said { likelihood: Some(0), ..Said::default() })), "inventory.likelihood");
        assert_eq!(wrong(said(Said { repair_seconds: Some(u64::MAX), ..Said::default() })), "inventory.seconds");
        let circle = PutThing { within: Some("rack".into()), ..put("office") };
        assert_eq!(code(house.gate().run(cx, &PUT, circle)), "inventory.within_circle");
        let itself = PutThing { needs: Some(vec![needs(1, &["wang"])]), ..put("wang") };
        assert_eq!(code(house.gate().run(cx, &PUT, itself)), "inventory.itself");
    });
}

// Files.

const NODES: &str = "ref,kind,name,within,repair,start,importance,likelihood,owner,note\r\n\
    sales,activity,接單,,,10m,5,,業務部,\"a \"\"quoted\"\", word\"\r\n\
    feed-a,power,Feed A,office,8h,,,4,,\r\n\
    office,site,Office,,,,,,,\r\n";

fn tables(house: &House) -> ImportInventory {
    let dependencies =
        format!("node,needs,set,at_least\nsales,{},,\nsales,feed-a,p,1\nsales,office,p,1\n", house.service);
    ImportInventory { tenant: None, nodes: NODES.into(), dependencies }
}

#[test]
fn an_import_says_what_it_would_do_does_it_and_does_nothing_twice() {
    each(|house| {
        let cx = &member(CUSTOMER);
        let run = |action: &'static gate::Action<ImportInventory, Imported>, tables: ImportInventory| {
            house.gate().run(cx, action, tables)
        };
        let plan = run(&PREVIEW, tables(&house)).unwrap();
        assert_eq!((plan.added, plan.changed, plan.wrong, plan.lines.len()), (3, 0, 0, 6));
        assert_eq!(house.count("SELECT COUNT(*) FROM inventory_nodes"), 0, "a preview does nothing");
        assert_eq!(run(&IMPORT, tables(&house)).unwrap().added, 3);
        let sales = get(&house, cx, "sales").unwrap().thing;
        assert_eq!((sales.needs.len(), sales.said.start_seconds), (2, Some(600)));
        assert_eq!(sales.said.note, "a \"quoted\", word");
        let again = run(&IMPORT, tables(&house)).unwrap();
        assert_eq!((again.added, again.changed), (0, 0));
        assert!(again.lines.iter().all(|line| line.change == LineChange::Same));
        // What is exported says the same.
        let export = house.gate().run(cx, &EXPORT, ExportInventory::default()).unwrap();
        let back = ImportInventory { tenant: None, nodes: export.nodes, dependencies: export.dependencies };
        let back = run(&IMPORT, back).unwrap();
        assert_eq!((back.added, back.changed, back.wrong), (0, 0, 0), "{:?}", back.lines);
    });
}

#[test]
fn an_old_table_neither_raises_what_has_gone_nor_repeats_what_is_known() {
    each(|house| {
        let cx = &member(CUSTOMER);
        let (host, machine) = house.machine();
        let run = |nodes: String| {
            let tables = ImportInventory { nodes: format!("ref,kind,name,within\n{nodes}"), ..Default::default() };
            house.gate().run(cx, &PREVIEW, tables).unwrap().lines.remove(0)
        };
        // That the machine stands on its host is known, and not said again.
        assert_eq!(run(format!("{machine},resource,,{host}\n")).change, LineChange::Same);
        let gone = format!("vm_{}", "0".repeat(26));
        let ghost = run(format!("{gone},resource,Old machine,\n"));
        assert_eq!((ghost.change, ghost.code.as_deref()), (LineChange::Wrong, Some("inventory.absent")));
        let elsewhere = format!("inv_{}", "0".repeat(26));
        assert_eq!(run(format!("{elsewhere},power,From another house,\n")).change, LineChange::Add);
        add(&house, cx, new(Kind::Activity, "Sales", "sales")).unwrap();
        let other = run("sales,supplier,Sales,\n".to_owned());
        assert_eq!((other.change, other.code.as_deref()), (LineChange::Wrong, Some("inventory.kind")));
    });
}

#[test]
fn an_import_with_one_wrong_line_does_nothing_and_says_which() {
    each(|house| {
        let cx = &member(CUSTOMER);
        let mut tables = tables(&house);
        tables
            .nodes
            .push_str("feed-b,power,Feed B,nowhere,soon,,,,\r\nsales,activity,twice,,,,,,\r\nx,unknown,X,,,,,,\r\n");
        tables.dependencies.push_str("sales,nothing,,\n");
        let plan = house.gate().run(cx, &PREVIEW, tables.clone()).unwrap();
        let wrong: Vec<_> = plan.lines.iter().filter(|line| line.change == LineChange::Wrong).collect();
        assert_eq!(wrong.iter().map(|line| line.line).collect::<Vec<_>>(), [5, 6, 7, 5]);
        let refused = house.gate().run(cx, &IMPORT, tables).unwrap_err();
        assert_eq!((refused.code(), refused.attribute()), ("inventory.import", Some("nodes")));
        assert!(refused.message().contains("nodes line 5"), "{refused}");
        assert_eq!(house.count("SELECT COUNT(*) FROM inventory_nodes"), 0);
    });
}

#[test]
fn a_file_that_is_none_is_refused_with_what_it_should_have() {
    for (text, code) in
        [("ref,colour\na,b\n", "csv.column"), ("kind,name\na,b\n", "csv.column"), ("ref\n\"a\n", "csv.quote")]
    {
        assert_eq!(csv::Table::read(text, &csv::NODES, 1).map(drop).unwrap_err().code(), code, "{text}");
    }
    assert!(csv::Table::read("", &csv::NODES, 1).unwrap().lines.is_empty());
    let table = csv::Table::read("\u{feff}Name;REF\n'=1;a\n\n", &csv::NODES, 1).unwrap();
    assert_eq!(table.lines.len(), 1);
    assert_eq!(table.cell(&table.lines[0].1, "name"), Some("=1"));
    assert_eq!(table.cell(&table.lines[0].1, "owner"), None);
}

fn cell() -> impl Strategy<Value = String> {
    "[ -~\u{e9}\u{4e2d}\n]{0,12}".prop_map(|text| text.trim().to_owned())
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(names in proptest::collection::vec(cell(), 1..6), note in cell()) {
        let thing = |name: &String| Thing {
            id: "inv_x".into(),
            key: "k".into(),
            kind: Kind::Power,
            name: name.clone(),
            tenant: base::id::TenantId(1),
            known: false,
            within: None,
            stands_in: None,
            needs: vec![],
            said: Said { note: note.clone(), ..Said::default() },
            revision: 1,
        };
        let text = csv::nodes(&names.iter().map(thing).collect::<Vec<_>>(), str::to_owned);
        let table = csv::Table::read(&text, &csv::NODES, 1).unwrap();
        let read: Vec<_> = table.lines.iter().map(|(_, cells)| table.cell(cells, "name").unwrap().to_owned()).collect();
        prop_assert_eq!(read, names);
        for (_, cells) in &table.lines {
            prop_assert_eq!(table.cell(cells, "note"), Some(note.as_str()));
        }
    }

    #[test]
    fn a_span_is_read_as_it_is_written(seconds in 0u64..400_000_000) {
        prop_assert_eq!(csv::seconds(&csv::span(seconds)).unwrap(), seconds);
    }

    #[test]
    fn nothing_that_is_called_a_file_stops_the_reader(text in "[\\PC\n\r]{0,200}") {
        let _ = csv::Table::read(&text, &csv::NODES, 1);
        let _ = csv::Table::read(&format!("ref,kind\n{text}"), &csv::NODES, 1);
    }
}

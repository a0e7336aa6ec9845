//! Every TM Forum resource over HTTP, judged by TM Forum's own files and an
//! independent validator (`tests/tmf/check.py`).

use serde_json::json;
use web::hub::HubSettings;

use crate::house::{House, Plan};
use crate::python;

/// The folder with TM Forum's files, where there is one.
fn files() -> Option<std::path::PathBuf> {
    let named = std::env::var_os("YUNWEI_SHARED").map(std::path::PathBuf::from);
    let here = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let found = named.or_else(|| here.ancestors().map(|above| above.join("shared")).find(|folder| folder.is_dir()));
    found.map(|folder| folder.join("tmf")).filter(|folder| folder.is_dir())
}

#[test]
fn every_answer_is_what_tm_forum_describes() {
    let Some(files) = files() else {
        eprintln!("SKIPPED: no TM Forum files in $YUNWEI_SHARED/tmf or shared/tmf beside the repository");
        return;
    };
    for (engine, database) in [("sqlite", None), ("postgres", db::testing::postgres_url())] {
        if engine == "sqlite" || database.is_some() {
            judge(&files, engine, database);
        }
    }
}

fn judge(files: &std::path::Path, engine: &str, database: Option<String>) {
    let waits = vec![std::time::Duration::from_millis(200); 9];
    let hub = HubSettings { private_targets: true, waits, ..HubSettings::default() };
    let house = House::with_machines(&format!("tmf-{engine}"), Plan { hub, database, ..Plan::default() });
    let (tenant, customer) = house.customer("Acme");
    let (_, other) = house.customer("Other");
    let settings = json!({
        "url": house.admin.url, "files": files, "tenant": tenant,
        "admin": house.admin.token, "customer": customer.token, "other": other.token,
    });
    let Some(output) = python("tmf/check.py", &[], &settings.to_string()) else { return };
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{engine}: {said}");
    println!("{engine}: {said}");
}

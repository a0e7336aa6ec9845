use db::args;

use super::*;

#[test]
fn what_is_old_goes_in_batches_and_what_is_not_stays() {
    for (engine, db, _keep) in db::testing::databases() {
        let gate = gate::testing::gate(db, crate::app::catalogue());
        let now = micros(gate.now());
        let day = 24 * 3_600 * 1_000_000i64;
        let facts = limits::SWEEP_BATCH_MAX * 2 + 3;
        gate.db()
            .write(move |conn| {
                for n in 0..facts {
                    let at = if n < facts - 2 { now - (limits::FACTS_DAYS + 1) * day } else { now - day };
                    conn.execute(
                        "INSERT INTO facts (name, tenant, object_kind, object_id, revision, at) VALUES ('x', 't', 'k', $1, 1, $2)",
                        args![n.to_string(), at],
                    )?;
                }
                for (number, (state, age)) in [("done", 181), ("undone", 181), ("done", 1), ("stuck", 999)].into_iter().enumerate() {
                    let run = base::id::RunId(number as u128 + 1);
                    conn.execute(
                        "INSERT INTO flow_runs (id, flow, version, tenant, requested_by, subject_kind, subject_id, input, state, backward, past_return, step, phase, attempt, fence, events, created_at, updated_at)
                         VALUES ($1, 'f', 1, 't', 'a', 'k', 'i', '{}', $2, 0, 0, 0, 'ready', 0, 0, 1, $3, $3)",
                        args![run, state, now - age * day],
                    )?;
                    conn.execute(
                        "INSERT INTO flow_journal (run, seq, at, step, event, attempt, detail) VALUES ($1, 1, $2, 's', 'started', 1, '{}')",
                        args![run, now],
                    )?;
                }
                Ok(())
            })
            .unwrap();
        in_batches(&gate, limits::FACTS_DAYS, |conn, before| Ok(gate::facts::forget(conn, before)? as usize)).unwrap();
        in_batches(&gate, limits::FLOW_RUNS_DAYS, durable::flows::forget).unwrap();
        let count =
            |sql: &'static str| gate.db().read(move |conn| conn.query_one(sql, &[], |row| row.get::<i64>(0))).unwrap();
        assert_eq!(count("SELECT COUNT(*) FROM facts"), 2, "{engine}");
        assert_eq!(count("SELECT COUNT(*) FROM flow_runs"), 2, "{engine}: the young one and the stuck one");
        assert_eq!(count("SELECT COUNT(*) FROM flow_journal"), 2, "{engine}");
    }
}

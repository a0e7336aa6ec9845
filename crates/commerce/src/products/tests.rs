use base::Kind as ErrorKind;
use gate::Catalogue;
use gate::testing::gate;
use serde_json::json;

use super::PRODUCT;
use crate::testing::{body, manager, member};

#[test]
fn a_products_status_moves_by_orders_only() {
    for (engine, db, _keep) in db::testing::databases() {
        let gate = gate(db, Catalogue::default().kinds(crate::KINDS));
        let imported =
            PRODUCT.create(&gate, &manager(), body(json!({ "name": "Old machine", "status": "active" }))).unwrap();
        let patch = |json| PRODUCT.update(&gate, &manager(), &imported.id, None, body(json));
        assert_eq!(patch(json!({ "status": "pendingTerminate" })).unwrap_err().code(), "product.by_order", "{engine}");
        assert_eq!(patch(json!({ "status": "created" })).unwrap_err().code(), "state.illegal_move");
        assert_eq!(patch(json!({ "productPrice": [] })).unwrap_err().code(), "product.settled");
        assert_eq!(patch(json!({ "name": "Oldest machine" })).unwrap().body["name"], "Oldest machine");
        assert_eq!(PRODUCT.delete(&gate, &manager(), &imported.id, None).unwrap_err().code(), "product.in_use");
        assert_eq!(PRODUCT.get(&gate, &member(2), &imported.id).unwrap_err().kind(), ErrorKind::NotFound);
    }
}

//! What the documents of this room hold, as TM Forum's version 4 files
//! describe them: the service catalog, service orders and services.
//!
//! `required` follows the file's `_Create` definitions, `read_only` is what
//! these leave out, `fixed` what the `_Update` definitions leave out.

use gate::shape::parts::{
    ATTACHMENT_REF_OR_VALUE, RELATED_CHARACTERISTIC, CHARACTERISTIC_SPECIFICATION, ENTITY_SPECIFICATION_RELATIONSHIP, FEATURE,
    FEATURE_RELATIONSHIP, FEATURE_SPECIFICATION, NOTE, RELATED_PARTY, RELATED_PLACE_REF_OR_VALUE, TARGET_ENTITY_SCHEMA, TIME_PERIOD,
    PARTY,
};
use gate::shape::{Shape, flag, id_of, integer, part, parts, reference, refs, text, time, word};

const ORDER_STATES: &[&str] = &[
    "acknowledged", "rejected", "pending", "held", "inProgress", "cancelled", "completed", "failed", "partial",
    "assessingCancellation", "pendingCancellation",
];

// TMF633, service catalog.

/// TMF633 `ServiceCatalog`.
pub static SERVICE_CATALOG: Shape = Shape {
    name: "ServiceCatalog",
    fields: &[
        text("description"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name").required(), text("version"),
        refs("category", &["serviceCategory"]), parts("relatedParty", &RELATED_PARTY), part("validFor", &TIME_PERIOD),
    ],
};

/// TMF633 `ServiceCategory`.
pub static SERVICE_CATEGORY: Shape = Shape {
    name: "ServiceCategory",
    fields: &[
        text("description"), flag("isRoot"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name").required(),
        id_of("parentId", &["serviceCategory"]), text("version"), refs("category", &["serviceCategory"]), refs("serviceCandidate", &[]),
        part("validFor", &TIME_PERIOD),
    ],
};

/// TMF633 `ServiceSpecification`.
pub static SERVICE_SPECIFICATION: Shape = Shape {
    name: "ServiceSpecification",
    fields: &[
        text("description"), flag("isBundle"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name").required(),
        text("version"), parts("attachment", &ATTACHMENT_REF_OR_VALUE), refs("constraint", &[]),
        parts("entitySpecRelationship", &ENTITY_SPECIFICATION_RELATIONSHIP), parts("featureSpecification", &FEATURE_SPECIFICATION),
        parts("relatedParty", &RELATED_PARTY), refs("resourceSpecification", &["resourceSpecification"]),
        refs("serviceLevelSpecification", &[]), parts("serviceSpecRelationship", &SERVICE_SPEC_RELATIONSHIP),
        parts("specCharacteristic", &CHARACTERISTIC_SPECIFICATION), part("targetEntitySchema", &TARGET_ENTITY_SCHEMA),
        part("validFor", &TIME_PERIOD),
    ],
};

static SERVICE_SPEC_RELATIONSHIP: Shape = Shape {
    name: "ServiceSpecRelationship",
    fields: &[
        id_of("id", &["serviceSpecification"]), text("name"), text("relationshipType").required(), text("role"),
        part("validFor", &TIME_PERIOD),
    ],
};

// TMF641, service ordering.

/// TMF641 `ServiceOrder`.
pub static SERVICE_ORDER: Shape = Shape {
    name: "ServiceOrder",
    fields: &[
        time("cancellationDate").fixed(), text("cancellationReason").fixed(), text("category").fixed(), time("completionDate").read_only(),
        text("description"), time("expectedCompletionDate").read_only(), text("externalId"), text("notificationContact"),
        time("orderDate").read_only(), text("priority"), time("requestedCompletionDate"), time("requestedStartDate"),
        time("startDate").read_only(), parts("errorMessage", &SERVICE_ORDER_ERROR_MESSAGE).read_only(),
        parts("externalReference", &ORDER_EXTERNAL_REFERENCE), parts("jeopardyAlert", &SERVICE_ORDER_JEOPARDY_ALERT).read_only(),
        parts("milestone", &SERVICE_ORDER_MILESTONE).read_only(), parts("note", &NOTE),
        parts("orderRelationship", &SERVICE_ORDER_RELATIONSHIP), parts("relatedParty", &ORDER_PARTY),
        parts("serviceOrderItem", &SERVICE_ORDER_ITEM).required(),
        word("state", ORDER_STATES).moved(),
    ],
};

/// TMF641 `CancelServiceOrder`.
pub static CANCEL_SERVICE_ORDER: Shape = Shape {
    name: "CancelServiceOrder",
    fields: &[
        text("cancellationReason"), text("completionMessage").read_only(), time("effectiveCancellationDate").read_only(),
        time("requestedCancellationDate"), part("errorMessage", &ERROR_MESSAGE).read_only(),
        reference("serviceOrder", &["serviceOrder"]).required(),
        word("state", &["accepted", "terminatedWithError", "inProgress", "done"]).read_only(),
    ],
};

static ERROR_MESSAGE: Shape = Shape {
    name: "ErrorMessage",
    fields: &[text("code"), text("message"), text("reason"), text("referenceError"), text("status")],
};

static ORDER_EXTERNAL_REFERENCE: Shape = Shape { name: "ExternalReference", fields: &[text("externalReferenceType"), text("name").required()] };

static RELATED_ENTITY_REF_OR_VALUE: Shape = Shape { name: "RelatedEntityRefOrValue", fields: &[text("name"), text("role").required()] };

static ORDER_PARTY: Shape = Shape {
    name: "RelatedParty",
    fields: &[id_of("id", PARTY).required(), text("name"), text("role"), text("@type").required(), text("@referredType").required()],
};

static RELATED_SERVICE_ORDER_ITEM: Shape = Shape {
    name: "RelatedServiceOrderItem",
    fields: &[
        text("itemId"), text("role"), text("serviceOrderHref"), id_of("serviceOrderId", &["serviceOrder"]),
        word("itemAction", &["add", "modify", "delete", "noChange"]),
    ],
};

static SERVICE_ORDER_ERROR_MESSAGE: Shape = Shape {
    name: "ServiceOrderErrorMessage",
    fields: &[
        text("code"), text("message"), text("reason"), text("referenceError"), text("status"), time("timestamp"),
        parts("serviceOrderItem", &SERVICE_ORDER_ITEM_REF),
    ],
};

static SERVICE_ORDER_ITEM: Shape = Shape {
    name: "ServiceOrderItem",
    fields: &[
        text("id").required(), integer("quantity"), word("action", &["add", "modify", "delete", "noChange"]).required(),
        reference("appointment", &[]), parts("errorMessage", &SERVICE_ORDER_ITEM_ERROR_MESSAGE),
        part("service", &SERVICE_REF_OR_VALUE).required(), parts("serviceOrderItem", &SERVICE_ORDER_ITEM),
        parts("serviceOrderItemRelationship", &SERVICE_ORDER_ITEM_RELATIONSHIP),
        word("state", ORDER_STATES),
    ],
};

static SERVICE_ORDER_ITEM_ERROR_MESSAGE: Shape = Shape {
    name: "ServiceOrderItemErrorMessage",
    fields: &[text("code"), text("message"), text("reason"), text("referenceError"), text("status"), time("timestamp")],
};

static SERVICE_ORDER_ITEM_REF: Shape = Shape {
    name: "ServiceOrderItemRef",
    fields: &[text("id").required(), text("itemId"), text("serviceOrderHref"), text("serviceOrderId")],
};

static SERVICE_ORDER_ITEM_RELATIONSHIP: Shape = Shape {
    name: "ServiceOrderItemRelationship",
    fields: &[text("relationshipType"), part("orderItem", &SERVICE_ORDER_ITEM_REF)],
};

static SERVICE_ORDER_JEOPARDY_ALERT: Shape = Shape {
    name: "ServiceOrderJeopardyAlert",
    fields: &[
        time("alertDate"), text("exception"), text("jeopardyType"), text("message"), text("name"),
        parts("serviceOrderItem", &SERVICE_ORDER_ITEM_REF),
    ],
};

static SERVICE_ORDER_MILESTONE: Shape = Shape {
    name: "ServiceOrderMilestone",
    fields: &[
        text("description"), text("message"), time("milestoneDate"), text("name"), text("status"),
        parts("serviceOrderItem", &SERVICE_ORDER_ITEM_REF),
    ],
};

static SERVICE_ORDER_RELATIONSHIP: Shape = Shape {
    name: "ServiceOrderRelationship",
    fields: &[id_of("id", &["serviceOrder"]).required(), text("relationshipType").required()],
};

static SERVICE_REF_OR_VALUE: Shape = Shape {
    name: "ServiceRefOrValue",
    fields: &[
        id_of("id", &["service"]), text("category"), text("description"), time("endDate"), flag("hasStarted"), flag("isBundle"),
        flag("isServiceEnabled"), flag("isStateful"), text("name"), text("serviceDate"), text("serviceType"), time("startDate"),
        text("startMode"), parts("feature", &FEATURE), parts("note", &NOTE), parts("place", &RELATED_PLACE_REF_OR_VALUE),
        parts("relatedEntity", &RELATED_ENTITY_REF_OR_VALUE), parts("relatedParty", &ORDER_PARTY),
        parts("serviceCharacteristic", &RELATED_CHARACTERISTIC), parts("serviceOrderItem", &RELATED_SERVICE_ORDER_ITEM),
        parts("serviceRelationship", &SERVICE_RELATIONSHIP), reference("serviceSpecification", &["serviceSpecification"]),
        word("state", &["feasibilityChecked", "designed", "reserved", "inactive", "active", "terminated"]),
        refs("supportingResource", &["resource"]), parts("supportingService", &SERVICE_REF_OR_VALUE),
    ],
};

static SERVICE_RELATIONSHIP: Shape = Shape {
    name: "ServiceRelationship",
    fields: &[
        text("relationshipType").required(), part("service", &SERVICE_REF_OR_VALUE),
        parts("serviceRelationshipCharacteristic", &RELATED_CHARACTERISTIC),
    ],
};

// TMF638, service inventory.

/// TMF638 `Service`.
pub static SERVICE: Shape = Shape {
    name: "Service",
    fields: &[
        text("category"), text("description"), time("endDate"), flag("hasStarted"), flag("isBundle"), flag("isServiceEnabled"),
        flag("isStateful"), text("name"), text("serviceDate").fixed(), text("serviceType"), time("startDate"), text("startMode"),
        parts("feature", &SERVICE_FEATURE), parts("note", &SERVICE_NOTE), parts("place", &RELATED_PLACE_REF_OR_VALUE),
        parts("relatedEntity", &RELATED_ENTITY_REF_OR_VALUE), parts("relatedParty", &RELATED_PARTY),
        parts("serviceCharacteristic", &RELATED_CHARACTERISTIC), parts("serviceOrderItem", &FULFILLING_ORDER_ITEM),
        parts("serviceRelationship", &SUPPORTING_RELATIONSHIP), reference("serviceSpecification", &["serviceSpecification"]).required(),
        word("state", &["feasibilityChecked", "designed", "reserved", "inactive", "active", "terminated"]).required(),
        refs("supportingResource", &["resource"]), parts("supportingService", &SUPPORTING_SERVICE),
    ],
};

static SERVICE_FEATURE: Shape = Shape {
    name: "Feature",
    fields: &[
        text("id").required(), flag("isBundle"), flag("isEnabled"), text("name").required(), refs("constraint", &[]),
        parts("featureCharacteristic", &RELATED_CHARACTERISTIC).required(), parts("featureRelationship", &FEATURE_RELATIONSHIP),
    ],
};

static SERVICE_NOTE: Shape = Shape { name: "Note", fields: &[text("author").required(), time("date").required(), text("text").required()] };

static FULFILLING_ORDER_ITEM: Shape = Shape {
    name: "RelatedServiceOrderItem",
    fields: &[
        text("itemId").required(), text("role"), text("serviceOrderHref"), id_of("serviceOrderId", &["serviceOrder"]).required(),
        word("itemAction", &["add", "modify", "delete", "noChange"]),
    ],
};

static SUPPORTING_SERVICE: Shape = Shape {
    name: "ServiceRefOrValue",
    fields: &[
        id_of("id", &["service"]).required(), text("category"), text("description"), time("endDate"), flag("hasStarted"), flag("isBundle"),
        flag("isServiceEnabled"), flag("isStateful"), text("name"), text("serviceDate"), text("serviceType"), time("startDate"),
        text("startMode"), parts("feature", &SERVICE_FEATURE), parts("note", &SERVICE_NOTE), parts("place", &RELATED_PLACE_REF_OR_VALUE),
        parts("relatedEntity", &RELATED_ENTITY_REF_OR_VALUE), parts("relatedParty", &RELATED_PARTY),
        parts("serviceCharacteristic", &RELATED_CHARACTERISTIC), parts("serviceOrderItem", &FULFILLING_ORDER_ITEM),
        parts("serviceRelationship", &SUPPORTING_RELATIONSHIP), reference("serviceSpecification", &["serviceSpecification"]),
        word("state", &["feasibilityChecked", "designed", "reserved", "inactive", "active", "terminated"]),
        refs("supportingResource", &["resource"]), parts("supportingService", &SUPPORTING_SERVICE),
    ],
};

static SUPPORTING_RELATIONSHIP: Shape = Shape {
    name: "ServiceRelationship",
    fields: &[
        text("relationshipType").required(), part("service", &SUPPORTING_SERVICE).required(),
        parts("serviceRelationshipCharacteristic", &RELATED_CHARACTERISTIC),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use gate::testing::swagger::expect_fit;

    #[test]
    fn what_passes_a_shape_is_a_document_by_the_file() {
        expect_fit("633", &[&SERVICE_CATALOG, &SERVICE_CATEGORY, &SERVICE_SPECIFICATION]);
        expect_fit("641", &[&SERVICE_ORDER, &CANCEL_SERVICE_ORDER]);
        expect_fit("638", &[&SERVICE]);
    }
}

//! What the documents of this room hold, as TM Forum's version 4 files
//! describe them: the resource catalog and resources.
//!
//! `required` follows the file's `_Create` definitions, `read_only` is what
//! these leave out, `fixed` what the `_Update` definitions leave out.

use gate::shape::parts::{
    ATTACHMENT_REF_OR_VALUE, RELATED_CHARACTERISTIC, CHARACTERISTIC_VALUE_SPECIFICATION, FEATURE, FEATURE_SPECIFICATION, RELATED_PARTY,
    RELATED_PLACE_REF_OR_VALUE, TIME_PERIOD,
};
use gate::shape::{Shape, flag, id_of, integer, part, parts, reference, refs, text, time, word};

// TMF634, resource catalog.

/// TMF634 `ResourceCatalog`.
pub static RESOURCE_CATALOG: Shape = Shape {
    name: "ResourceCatalog",
    fields: &[
        text("description"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name").required(), text("version"),
        refs("category", &["resourceCategory"]), parts("relatedParty", &RELATED_PARTY), part("validFor", &TIME_PERIOD),
    ],
};

/// TMF634 `ResourceCategory`.
pub static RESOURCE_CATEGORY: Shape = Shape {
    name: "ResourceCategory",
    fields: &[
        text("description"), flag("isRoot"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name").required(),
        id_of("parentId", &["resourceCategory"]), text("version"), refs("category", &["resourceCategory"]),
        parts("relatedParty", &RELATED_PARTY), refs("resourceCandidate", &[]), part("validFor", &TIME_PERIOD),
    ],
};

/// TMF634 `ResourceSpecification`.
pub static RESOURCE_SPECIFICATION: Shape = Shape {
    name: "ResourceSpecification",
    fields: &[
        text("category"), text("description"), flag("isBundle"), time("lastUpdate").read_only(), text("lifecycleStatus"),
        text("name").required(), text("version"), parts("attachment", &ATTACHMENT_REF_OR_VALUE),
        parts("featureSpecification", &FEATURE_SPECIFICATION), parts("relatedParty", &RELATED_PARTY),
        parts("resourceSpecCharacteristic", &RESOURCE_SPECIFICATION_CHARACTERISTIC),
        parts("resourceSpecRelationship", &RESOURCE_SPECIFICATION_RELATIONSHIP), part("targetResourceSchema", &TARGET_RESOURCE_SCHEMA),
        part("validFor", &TIME_PERIOD),
    ],
};

static RESOURCE_SPECIFICATION_CHARACTERISTIC: Shape = Shape {
    name: "ResourceSpecificationCharacteristic",
    fields: &[
        flag("configurable"), text("description"), flag("extensible"), flag("isUnique"), integer("maxCardinality"),
        integer("minCardinality"), text("name"), text("regex"), text("valueType"),
        parts("resourceSpecCharRelationship", &RESOURCE_SPECIFICATION_CHARACTERISTIC_RELATIONSHIP),
        parts("resourceSpecCharacteristicValue", &CHARACTERISTIC_VALUE_SPECIFICATION), part("validFor", &TIME_PERIOD),
    ],
};

static RESOURCE_SPECIFICATION_CHARACTERISTIC_RELATIONSHIP: Shape = Shape {
    name: "ResourceSpecificationCharacteristicRelationship",
    fields: &[
        text("characteristicSpecificationId"), text("name"), text("relationshipType"), text("resourceSpecificationHref"),
        text("resourceSpecificationId"), part("validFor", &TIME_PERIOD),
    ],
};

static RESOURCE_SPECIFICATION_RELATIONSHIP: Shape = Shape {
    name: "ResourceSpecificationRelationship",
    fields: &[
        id_of("id", &["resourceSpecification"]), integer("defaultQuantity"), integer("maximumQuantity"), integer("minimumQuantity"),
        text("name"), text("relationshipType"), text("role"), parts("characteristic", &RESOURCE_SPECIFICATION_CHARACTERISTIC),
        part("validFor", &TIME_PERIOD),
    ],
};

static TARGET_RESOURCE_SCHEMA: Shape = Shape {
    name: "TargetResourceSchema",
    fields: &[text("@schemaLocation").required(), text("@type").required()],
};

// TMF639, resource inventory.

/// TMF639 `Resource`.
pub static RESOURCE: Shape = Shape {
    name: "Resource",
    fields: &[
        text("category"), text("description"), time("endOperatingDate"), text("name").required(), text("resourceVersion"),
        time("startOperatingDate"), parts("activationFeature", &FEATURE), word("administrativeState", &["locked", "unlocked", "shutdown"]),
        parts("attachment", &ATTACHMENT_REF_OR_VALUE), parts("note", &RESOURCE_NOTE), word("operationalState", &["enable", "disable"]),
        part("place", &RELATED_PLACE_REF_OR_VALUE), parts("relatedParty", &RELATED_PARTY),
        parts("resourceCharacteristic", &RELATED_CHARACTERISTIC), parts("resourceRelationship", &RESOURCE_RELATIONSHIP),
        reference("resourceSpecification", &["resourceSpecification"]),
        word("resourceStatus", &["standby", "alarm", "available", "reserved", "unknown", "suspended"]),
        word("usageState", &["idle", "active", "busy"]),
    ],
};

static RESOURCE_NOTE: Shape = Shape { name: "Note", fields: &[text("author"), time("date"), text("text")] };

static RESOURCE_REF_OR_VALUE: Shape = Shape {
    name: "ResourceRefOrValue",
    fields: &[
        id_of("id", &["resource"]).required(), text("href").required(), text("category"), text("description"), time("endOperatingDate"),
        text("name"), text("resourceVersion"), time("startOperatingDate"), parts("activationFeature", &FEATURE),
        word("administrativeState", &["locked", "unlocked", "shutdown"]), parts("attachment", &ATTACHMENT_REF_OR_VALUE),
        parts("note", &RESOURCE_NOTE), word("operationalState", &["enable", "disable"]), part("place", &RELATED_PLACE_REF_OR_VALUE),
        parts("relatedParty", &RELATED_PARTY), parts("resourceCharacteristic", &RELATED_CHARACTERISTIC),
        parts("resourceRelationship", &RESOURCE_RELATIONSHIP), reference("resourceSpecification", &["resourceSpecification"]),
        word("resourceStatus", &["standby", "alarm", "available", "reserved", "unknown", "suspended"]),
        word("usageState", &["idle", "active", "busy"]),
    ],
};

static RESOURCE_RELATIONSHIP: Shape = Shape {
    name: "ResourceRelationship",
    fields: &[text("relationshipType").required(), part("resource", &RESOURCE_REF_OR_VALUE).required()],
};

#[cfg(test)]
mod tests {
    use super::*;
    use gate::testing::swagger::expect_fit;

    #[test]
    fn what_passes_a_shape_is_a_document_by_the_file() {
        expect_fit("634", &[&RESOURCE_CATALOG, &RESOURCE_CATEGORY, &RESOURCE_SPECIFICATION]);
        expect_fit("639", &[&RESOURCE]);
    }
}

//! Parts that the documents of several rooms have in common, as TM Forum's
//! version 4 files describe them.

use super::{Shape, any, flag, id_of, integer, number, part, parts, reference, refs, text, time};

/// Who can be a related party: the kinds that are kept here.
pub const PARTY: &[&str] = &["organization", "individual", "customer"];

/// A document or picture, inside or by its address.
pub static ATTACHMENT_REF_OR_VALUE: Shape = Shape {
    name: "AttachmentRefOrValue",
    fields: &[
        text("attachmentType"), text("content"), text("description"), text("mimeType"), text("name"), text("url"), part("size", &QUANTITY),
        part("validFor", &TIME_PERIOD),
    ],
};

/// The value of a characteristic of a service or resource, and what it is related to.
pub static RELATED_CHARACTERISTIC: Shape = Shape {
    name: "Characteristic",
    fields: &[
        text("name").required(), text("valueType"), parts("characteristicRelationship", &CHARACTERISTIC_RELATIONSHIP),
        any("value").required(),
    ],
};

/// How one characteristic stands to another.
pub static CHARACTERISTIC_RELATIONSHIP: Shape = Shape { name: "CharacteristicRelationship", fields: &[text("relationshipType")] };

/// What a characteristic may hold.
pub static CHARACTERISTIC_SPECIFICATION: Shape = Shape {
    name: "CharacteristicSpecification",
    fields: &[
        flag("configurable"), text("description"), flag("extensible"), flag("isUnique"), integer("maxCardinality"),
        integer("minCardinality"), text("name"), text("regex"), text("valueType"),
        parts("charSpecRelationship", &CHARACTERISTIC_SPECIFICATION_RELATIONSHIP),
        parts("characteristicValueSpecification", &CHARACTERISTIC_VALUE_SPECIFICATION), part("validFor", &TIME_PERIOD),
    ],
};

/// How one characteristic specification stands to another.
pub static CHARACTERISTIC_SPECIFICATION_RELATIONSHIP: Shape = Shape {
    name: "CharacteristicSpecificationRelationship",
    fields: &[
        text("characteristicSpecificationId"), text("name"), text("parentSpecificationHref"), text("parentSpecificationId"),
        text("relationshipType"), part("validFor", &TIME_PERIOD),
    ],
};

/// One value, or range of values, that a characteristic may have.
pub static CHARACTERISTIC_VALUE_SPECIFICATION: Shape = Shape {
    name: "CharacteristicValueSpecification",
    fields: &[
        flag("isDefault"), text("rangeInterval"), text("regex"), text("unitOfMeasure"), integer("valueFrom"), integer("valueTo"),
        text("valueType"), part("validFor", &TIME_PERIOD), any("value"),
    ],
};

/// A way to reach a party.
pub static CONTACT_MEDIUM: Shape = Shape {
    name: "ContactMedium",
    fields: &[text("mediumType"), flag("preferred"), part("characteristic", &MEDIUM_CHARACTERISTIC), part("validFor", &TIME_PERIOD)],
};

/// How one specification stands to another.
pub static ENTITY_SPECIFICATION_RELATIONSHIP: Shape = Shape {
    name: "EntitySpecificationRelationship",
    fields: &[text("name"), text("relationshipType").required(), text("role"), reference("associationSpec", &[]), part("validFor", &TIME_PERIOD)],
};

/// Something that a service or resource can do, switched on or off.
pub static FEATURE: Shape = Shape {
    name: "Feature",
    fields: &[
        flag("isBundle"), flag("isEnabled"), text("name").required(), refs("constraint", &[]),
        parts("featureCharacteristic", &RELATED_CHARACTERISTIC).required(), parts("featureRelationship", &FEATURE_RELATIONSHIP),
    ],
};

/// How one feature stands to another.
pub static FEATURE_RELATIONSHIP: Shape = Shape {
    name: "FeatureRelationship",
    fields: &[text("name").required(), text("relationshipType").required(), part("validFor", &TIME_PERIOD)],
};

/// What a feature may be.
pub static FEATURE_SPECIFICATION: Shape = Shape {
    name: "FeatureSpecification",
    fields: &[
        flag("isBundle"), flag("isEnabled"), text("name"), text("version"), refs("constraint", &[]),
        parts("featureSpecCharacteristic", &FEATURE_SPECIFICATION_CHARACTERISTIC),
        parts("featureSpecRelationship", &FEATURE_SPECIFICATION_RELATIONSHIP), part("validFor", &TIME_PERIOD),
    ],
};

/// What a feature's characteristic may hold.
pub static FEATURE_SPECIFICATION_CHARACTERISTIC: Shape = Shape {
    name: "FeatureSpecificationCharacteristic",
    fields: &[
        flag("configurable"), text("description"), flag("extensible"), flag("isUnique"), integer("maxCardinality"),
        integer("minCardinality"), text("name").required(), text("regex"), text("valueType"),
        parts("featureSpecCharRelationship", &FEATURE_SPECIFICATION_CHARACTERISTIC_RELATIONSHIP),
        parts("featureSpecCharacteristicValue", &CHARACTERISTIC_VALUE_SPECIFICATION), part("validFor", &TIME_PERIOD),
    ],
};

/// How one feature's characteristic stands to another.
pub static FEATURE_SPECIFICATION_CHARACTERISTIC_RELATIONSHIP: Shape = Shape {
    name: "FeatureSpecificationCharacteristicRelationship",
    fields: &[
        text("characteristicId"), text("featureId"), text("name"), text("relationshipType"), text("resourceSpecificationHref"),
        text("resourceSpecificationId"), part("validFor", &TIME_PERIOD),
    ],
};

/// How one feature specification stands to another.
pub static FEATURE_SPECIFICATION_RELATIONSHIP: Shape = Shape {
    name: "FeatureSpecificationRelationship",
    fields: &[
        text("featureId"), text("name").required(), text("parentSpecificationHref"), text("parentSpecificationId"),
        text("relationshipType").required(), part("validFor", &TIME_PERIOD),
    ],
};

/// An address of any kind.
pub static MEDIUM_CHARACTERISTIC: Shape = Shape {
    name: "MediumCharacteristic",
    fields: &[
        text("city"), text("contactType"), text("country"), text("emailAddress"), text("faxNumber"), text("phoneNumber"), text("postCode"),
        text("socialNetworkId"), text("stateOrProvince"), text("street1"), text("street2"),
    ],
};

/// An amount in a currency.
pub static MONEY: Shape = Shape { name: "Money", fields: &[text("unit"), number("value")] };

/// What somebody wrote down.
pub static NOTE: Shape = Shape { name: "Note", fields: &[text("author"), time("date"), text("text").required()] };

/// An amount in a unit.
pub static QUANTITY: Shape = Shape { name: "Quantity", fields: &[number("amount"), text("units")] };

/// A party and the part it plays.
pub static RELATED_PARTY: Shape = Shape {
    name: "RelatedParty",
    fields: &[id_of("id", PARTY).required(), text("name"), text("role"), text("@referredType").required()],
};

/// A place and the part it plays.
pub static RELATED_PLACE_REF_OR_VALUE: Shape = Shape { name: "RelatedPlaceRefOrValue", fields: &[text("name"), text("role").required()] };

/// Where the schema of the specified thing is.
pub static TARGET_ENTITY_SCHEMA: Shape = Shape {
    name: "TargetEntitySchema",
    fields: &[text("@schemaLocation").required(), text("@type").required()],
};

/// A tax: category, rate and amount.
pub static TAX_ITEM: Shape = Shape { name: "TaxItem", fields: &[text("taxCategory"), number("taxRate"), part("taxAmount", &MONEY)] };

/// From when to when.
pub static TIME_PERIOD: Shape = Shape { name: "TimePeriod", fields: &[time("endDateTime"), time("startDateTime")] };

//! What the documents of this room hold, as TM Forum's version 4 files
//! describe them: parties, customers, the product catalog, orders and products.
//!
//! `required` follows the file's `_Create` definitions, `read_only` is what
//! these leave out, `fixed` what the `_Update` definitions leave out.

use gate::shape::parts::{
    ATTACHMENT_REF_OR_VALUE, CHARACTERISTIC_VALUE_SPECIFICATION, CONTACT_MEDIUM, MEDIUM_CHARACTERISTIC, MONEY, NOTE, QUANTITY,
    RELATED_PARTY, RELATED_PLACE_REF_OR_VALUE, TAX_ITEM, TIME_PERIOD,
};
use gate::shape::{Shape, any, flag, id_of, integer, number, part, parts, reference, refs, text, time, word};

const ORDER_STATES: &[&str] = &[
    "acknowledged", "rejected", "pending", "held", "inProgress", "cancelled", "completed", "failed", "partial",
    "assessingCancellation", "pendingCancellation",
];
const ITEM_STATES: &[&str] = &[
    "acknowledged", "rejected", "pending", "held", "inProgress", "cancelled", "completed", "failed", "assessingCancellation", "pendingCancellation",
];
// The space in the last one is the file's own.
const PRODUCT_STATES: &[&str] = &["created", "pendingActive", "cancelled", "active", "pendingTerminate", "terminated", "suspended", "aborted "];

// TMF632, party.

/// TMF632 `Organization`.
pub static ORGANIZATION: Shape = Shape {
    name: "Organization",
    fields: &[
        flag("isHeadOffice"), flag("isLegalEntity"), text("name"), text("nameType"), text("organizationType"),
        text("tradingName").required(), parts("contactMedium", &CONTACT_MEDIUM), parts("creditRating", &PARTY_CREDIT_PROFILE),
        part("existsDuring", &TIME_PERIOD), parts("externalReference", &EXTERNAL_REFERENCE),
        parts("organizationChildRelationship", &ORGANIZATION_CHILD_RELATIONSHIP),
        parts("organizationIdentification", &ORGANIZATION_IDENTIFICATION),
        part("organizationParentRelationship", &ORGANIZATION_PARENT_RELATIONSHIP), parts("otherName", &OTHER_NAME_ORGANIZATION),
        parts("partyCharacteristic", &CHARACTERISTIC), parts("relatedParty", &RELATED_PARTY),
        word("status", &["initialized", "validated", "closed"]), parts("taxExemptionCertificate", &TAX_EXEMPTION_CERTIFICATE),
    ],
};

/// TMF632 `Individual`.
pub static INDIVIDUAL: Shape = Shape {
    name: "Individual",
    fields: &[
        text("aristocraticTitle"), time("birthDate"), text("countryOfBirth"), time("deathDate"), text("familyName").required(),
        text("familyNamePrefix"), text("formattedName"), text("fullName"), text("gender"), text("generation"), text("givenName").required(),
        text("legalName"), text("location"), text("maritalStatus"), text("middleName"), text("nationality"), text("placeOfBirth"),
        text("preferredGivenName"), text("title"), parts("contactMedium", &CONTACT_MEDIUM), parts("creditRating", &PARTY_CREDIT_PROFILE),
        parts("disability", &DISABILITY), parts("externalReference", &EXTERNAL_REFERENCE),
        parts("individualIdentification", &INDIVIDUAL_IDENTIFICATION), parts("languageAbility", &LANGUAGE_ABILITY),
        parts("otherName", &OTHER_NAME_INDIVIDUAL), parts("partyCharacteristic", &CHARACTERISTIC), parts("relatedParty", &RELATED_PARTY),
        parts("skill", &SKILL), word("status", &["initialized", "validated", "deceaded"]),
        parts("taxExemptionCertificate", &TAX_EXEMPTION_CERTIFICATE),
    ],
};

static CHARACTERISTIC: Shape = Shape { name: "Characteristic", fields: &[text("name").required(), text("valueType"), any("value").required()] };

static DISABILITY: Shape = Shape { name: "Disability", fields: &[text("disabilityCode"), text("disabilityName"), part("validFor", &TIME_PERIOD)] };

static EXTERNAL_REFERENCE: Shape = Shape { name: "ExternalReference", fields: &[text("externalReferenceType"), text("name")] };

static INDIVIDUAL_IDENTIFICATION: Shape = Shape {
    name: "IndividualIdentification",
    fields: &[
        text("identificationId"), text("identificationType"), text("issuingAuthority"), time("issuingDate"),
        part("attachment", &ATTACHMENT_REF_OR_VALUE), part("validFor", &TIME_PERIOD),
    ],
};

static LANGUAGE_ABILITY: Shape = Shape {
    name: "LanguageAbility",
    fields: &[
        flag("isFavouriteLanguage"), text("languageCode"), text("languageName"), text("listeningProficiency"), text("readingProficiency"),
        text("speakingProficiency"), text("writingProficiency"), part("validFor", &TIME_PERIOD),
    ],
};

static ORGANIZATION_CHILD_RELATIONSHIP: Shape = Shape {
    name: "OrganizationChildRelationship",
    fields: &[text("relationshipType"), reference("organization", &["organization"])],
};

static ORGANIZATION_IDENTIFICATION: Shape = Shape {
    name: "OrganizationIdentification",
    fields: &[
        text("identificationId"), text("identificationType"), text("issuingAuthority"), time("issuingDate"),
        part("attachment", &ATTACHMENT_REF_OR_VALUE), part("validFor", &TIME_PERIOD),
    ],
};

static ORGANIZATION_PARENT_RELATIONSHIP: Shape = Shape {
    name: "OrganizationParentRelationship",
    fields: &[text("relationshipType"), reference("organization", &["organization"])],
};

static OTHER_NAME_INDIVIDUAL: Shape = Shape {
    name: "OtherNameIndividual",
    fields: &[
        text("aristocraticTitle"), text("familyName"), text("familyNamePrefix"), text("formattedName"), text("fullName"),
        text("generation"), text("givenName"), text("legalName"), text("middleName"), text("preferredGivenName"), text("title"),
        part("validFor", &TIME_PERIOD),
    ],
};

static OTHER_NAME_ORGANIZATION: Shape = Shape {
    name: "OtherNameOrganization",
    fields: &[text("name"), text("nameType"), text("tradingName"), part("validFor", &TIME_PERIOD)],
};

static PARTY_CREDIT_PROFILE: Shape = Shape {
    name: "PartyCreditProfile",
    fields: &[text("creditAgencyName"), text("creditAgencyType"), text("ratingReference"), integer("ratingScore"), part("validFor", &TIME_PERIOD)],
};

static SKILL: Shape = Shape {
    name: "Skill",
    fields: &[text("comment"), text("evaluatedLevel"), text("skillCode"), text("skillName"), part("validFor", &TIME_PERIOD)],
};

static TAX_DEFINITION: Shape = Shape { name: "TaxDefinition", fields: &[text("name"), text("taxType")] };

static TAX_EXEMPTION_CERTIFICATE: Shape = Shape {
    name: "TaxExemptionCertificate",
    fields: &[part("attachment", &ATTACHMENT_REF_OR_VALUE), parts("taxDefinition", &TAX_DEFINITION), part("validFor", &TIME_PERIOD)],
};

// TMF629, customer management.

/// TMF629 `Customer`.
pub static CUSTOMER: Shape = Shape {
    name: "Customer",
    fields: &[
        text("name").required(), text("status"), text("statusReason"), parts("account", &ACCOUNT_REF), refs("agreement", &[]),
        parts("characteristic", &CHARACTERISTIC), parts("contactMedium", &CUSTOMER_CONTACT_MEDIUM), parts("creditProfile", &CREDIT_PROFILE),
        part("engagedParty", &RELATED_PARTY).required(), refs("paymentMethod", &[]), parts("relatedParty", &RELATED_PARTY),
        part("validFor", &TIME_PERIOD),
    ],
};

static ACCOUNT_REF: Shape = Shape { name: "AccountRef", fields: &[id_of("id", &["billingAccount"]), text("description"), text("name").required()] };

static CUSTOMER_CONTACT_MEDIUM: Shape = Shape {
    name: "ContactMedium",
    fields: &[
        text("mediumType").required(), flag("preferred"), part("characteristic", &MEDIUM_CHARACTERISTIC).required(),
        part("validFor", &TIME_PERIOD),
    ],
};

static CREDIT_PROFILE: Shape = Shape {
    name: "CreditProfile",
    fields: &[
        time("creditProfileDate").required(), integer("creditRiskRating"), integer("creditScore"),
        part("validFor", &TIME_PERIOD).required(),
    ],
};

// TMF620, product catalog.

/// TMF620 `Catalog`.
pub static CATALOG: Shape = Shape {
    name: "Catalog",
    fields: &[
        text("catalogType"), text("description"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name").required(),
        text("version"), refs("category", &["category"]), parts("relatedParty", &RELATED_PARTY), part("validFor", &TIME_PERIOD),
    ],
};

/// TMF620 `Category`.
pub static CATEGORY: Shape = Shape {
    name: "Category",
    fields: &[
        text("description"), flag("isRoot"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name").required(),
        id_of("parentId", &["category"]), text("version"), refs("productOffering", &["productOffering"]),
        refs("subCategory", &["category"]), part("validFor", &TIME_PERIOD),
    ],
};

/// TMF620 `ProductSpecification`.
pub static PRODUCT_SPECIFICATION: Shape = Shape {
    name: "ProductSpecification",
    fields: &[
        text("brand"), text("description"), flag("isBundle"), time("lastUpdate").read_only(), text("lifecycleStatus"),
        text("name").required(), text("productNumber"), text("version"), parts("attachment", &ATTACHMENT_REF_OR_VALUE),
        parts("bundledProductSpecification", &BUNDLED_PRODUCT_SPECIFICATION),
        parts("productSpecCharacteristic", &PRODUCT_SPECIFICATION_CHARACTERISTIC),
        parts("productSpecificationRelationship", &PRODUCT_SPECIFICATION_RELATIONSHIP), parts("relatedParty", &RELATED_PARTY),
        refs("resourceSpecification", &["resourceSpecification"]), refs("serviceSpecification", &["serviceSpecification"]),
        part("targetProductSchema", &TARGET_PRODUCT_SCHEMA), part("validFor", &TIME_PERIOD),
    ],
};

/// TMF620 `ProductOffering`.
pub static PRODUCT_OFFERING: Shape = Shape {
    name: "ProductOffering",
    fields: &[
        text("description"), flag("isBundle"), flag("isSellable"), time("lastUpdate").read_only(), text("lifecycleStatus"),
        text("name").required(), text("statusReason"), text("version"), refs("agreement", &[]),
        parts("attachment", &ATTACHMENT_REF_OR_VALUE), parts("bundledProductOffering", &BUNDLED_PRODUCT_OFFERING),
        refs("category", &["category"]), refs("channel", &[]), refs("marketSegment", &[]), refs("place", &[]),
        parts("prodSpecCharValueUse", &PRODUCT_SPECIFICATION_CHARACTERISTIC_VALUE_USE),
        parts("productOfferingPrice", &PRODUCT_OFFERING_PRICE_REF_OR_VALUE),
        parts("productOfferingRelationship", &PRODUCT_OFFERING_RELATIONSHIP), parts("productOfferingTerm", &PRODUCT_OFFERING_TERM),
        part("productSpecification", &PRODUCT_SPECIFICATION_REF), reference("resourceCandidate", &[]), reference("serviceCandidate", &[]),
        reference("serviceLevelAgreement", &[]), part("validFor", &TIME_PERIOD),
    ],
};

/// TMF620 `ProductOfferingPrice`.
pub static PRODUCT_OFFERING_PRICE: Shape = Shape {
    name: "ProductOfferingPrice",
    fields: &[
        text("description"), flag("isBundle"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name").required(),
        number("percentage"), text("priceType"), integer("recurringChargePeriodLength"), text("recurringChargePeriodType"), text("version"),
        parts("bundledPopRelationship", &BUNDLED_PRODUCT_OFFERING_PRICE_RELATIONSHIP), refs("constraint", &[]), refs("place", &[]),
        parts("popRelationship", &PRODUCT_OFFERING_PRICE_RELATIONSHIP), part("price", &MONEY),
        parts("pricingLogicAlgorithm", &PRICING_LOGIC_ALGORITHM),
        parts("prodSpecCharValueUse", &PRODUCT_SPECIFICATION_CHARACTERISTIC_VALUE_USE),
        parts("productOfferingTerm", &PRODUCT_OFFERING_TERM), parts("tax", &TAX_ITEM), part("unitOfMeasure", &QUANTITY),
        part("validFor", &TIME_PERIOD),
    ],
};

static BUNDLED_PRODUCT_OFFERING: Shape = Shape {
    name: "BundledProductOffering",
    fields: &[
        id_of("id", &["productOffering"]), text("lifecycleStatus"), text("name"),
        part("bundledProductOfferingOption", &BUNDLED_PRODUCT_OFFERING_OPTION),
    ],
};

static BUNDLED_PRODUCT_OFFERING_OPTION: Shape = Shape {
    name: "BundledProductOfferingOption",
    fields: &[integer("numberRelOfferDefault"), integer("numberRelOfferLowerLimit"), integer("numberRelOfferUpperLimit")],
};

static BUNDLED_PRODUCT_OFFERING_PRICE_RELATIONSHIP: Shape = Shape {
    name: "BundledProductOfferingPriceRelationship",
    fields: &[id_of("id", &["productOfferingPrice"]), text("name")],
};

static BUNDLED_PRODUCT_SPECIFICATION: Shape = Shape {
    name: "BundledProductSpecification",
    fields: &[id_of("id", &["productSpecification"]), text("lifecycleStatus"), text("name")],
};

static DURATION: Shape = Shape { name: "Duration", fields: &[integer("amount"), text("units")] };

static POP_ALTERATION: Shape = Shape {
    name: "POPAlteration",
    fields: &[
        text("description"), text("name"), text("priceType").required(), integer("priority"), text("recurringChargePeriod"),
        part("applicationDuration", &DURATION), part("price", &PRODUCT_PRICE_VALUE).required(), part("unitOfMeasure", &QUANTITY),
        part("validFor", &TIME_PERIOD),
    ],
};

static PRICING_LOGIC_ALGORITHM: Shape = Shape {
    name: "PricingLogicAlgorithm",
    fields: &[text("description"), text("name"), text("plaSpecId"), part("validFor", &TIME_PERIOD)],
};

static PRODUCT_OFFERING_PRICE_REF_OR_VALUE: Shape = Shape {
    name: "ProductOfferingPriceRefOrValue",
    fields: &[
        id_of("id", &["productOfferingPrice"]), text("description"), time("lastUpdate"), text("lifecycleStatus"), text("name"),
        text("priceType"), text("recurringChargePeriod"), integer("recurringChargePeriodLength"), text("version"), refs("constraint", &[]),
        part("price", &PRODUCT_PRICE_VALUE), parts("priceAlteration", &POP_ALTERATION), part("unitOfMeasure", &QUANTITY),
        part("validFor", &TIME_PERIOD),
    ],
};

static PRODUCT_OFFERING_PRICE_RELATIONSHIP: Shape = Shape {
    name: "ProductOfferingPriceRelationship",
    fields: &[id_of("id", &["productOfferingPrice"]), text("name"), text("relationshipType"), text("role")],
};

static PRODUCT_OFFERING_RELATIONSHIP: Shape = Shape {
    name: "ProductOfferingRelationship",
    fields: &[id_of("id", &["productOffering"]), text("name"), text("relationshipType"), text("role"), part("validFor", &TIME_PERIOD)],
};

static PRODUCT_OFFERING_TERM: Shape = Shape {
    name: "ProductOfferingTerm",
    fields: &[text("description"), text("name"), part("duration", &DURATION), part("validFor", &TIME_PERIOD)],
};

static PRODUCT_PRICE_VALUE: Shape = Shape {
    name: "ProductPriceValue",
    fields: &[number("percentage"), text("taxCategory"), number("taxRate"), part("dutyFreeAmount", &MONEY), part("taxIncludedAmount", &MONEY)],
};

static PRODUCT_SPECIFICATION_CHARACTERISTIC: Shape = Shape {
    name: "ProductSpecificationCharacteristic",
    fields: &[
        flag("configurable"), text("description"), flag("extensible"), flag("isUnique"), integer("maxCardinality"),
        integer("minCardinality"), text("name"), text("regex"), text("valueType"),
        parts("productSpecCharRelationship", &PRODUCT_SPECIFICATION_CHARACTERISTIC_RELATIONSHIP),
        parts("productSpecCharacteristicValue", &CHARACTERISTIC_VALUE_SPECIFICATION), part("validFor", &TIME_PERIOD),
    ],
};

static PRODUCT_SPECIFICATION_CHARACTERISTIC_RELATIONSHIP: Shape = Shape {
    name: "ProductSpecificationCharacteristicRelationship",
    fields: &[integer("charSpecSeq"), text("name"), text("relationshipType"), part("validFor", &TIME_PERIOD)],
};

static PRODUCT_SPECIFICATION_CHARACTERISTIC_VALUE_USE: Shape = Shape {
    name: "ProductSpecificationCharacteristicValueUse",
    fields: &[
        text("description"), integer("maxCardinality"), integer("minCardinality"), text("name"), text("valueType"),
        parts("productSpecCharacteristicValue", &CHARACTERISTIC_VALUE_SPECIFICATION),
        part("productSpecification", &PRODUCT_SPECIFICATION_REF), part("validFor", &TIME_PERIOD),
    ],
};

static PRODUCT_SPECIFICATION_REF: Shape = Shape {
    name: "ProductSpecificationRef",
    fields: &[
        id_of("id", &["productSpecification"]).required(), text("name"), text("version"),
        part("targetProductSchema", &TARGET_PRODUCT_SCHEMA),
    ],
};

static PRODUCT_SPECIFICATION_RELATIONSHIP: Shape = Shape {
    name: "ProductSpecificationRelationship",
    fields: &[id_of("id", &["productSpecification"]), text("name"), text("relationshipType"), part("validFor", &TIME_PERIOD)],
};

static TARGET_PRODUCT_SCHEMA: Shape = Shape { name: "TargetProductSchema", fields: &[text("@schemaLocation").required(), text("@type").required()] };

// TMF622, product ordering.

/// TMF622 `ProductOrder`.
pub static PRODUCT_ORDER: Shape = Shape {
    name: "ProductOrder",
    fields: &[
        time("cancellationDate"), text("cancellationReason"), text("category"), time("completionDate").read_only(), text("description"),
        time("expectedCompletionDate").read_only(), text("externalId"), text("notificationContact"), time("orderDate").read_only(),
        text("priority"), time("requestedCompletionDate"), time("requestedStartDate"), refs("agreement", &[]),
        reference("billingAccount", &["billingAccount"]), parts("channel", &RELATED_CHANNEL), parts("note", &NOTE),
        parts("orderTotalPrice", &ORDER_PRICE), refs("payment", &[]), refs("productOfferingQualification", &[]),
        parts("productOrderItem", &PRODUCT_ORDER_ITEM).required(), refs("quote", &[]), parts("relatedParty", &RELATED_PARTY),
        word("state", ORDER_STATES).moved(),
    ],
};

/// TMF622 `CancelProductOrder`.
pub static CANCEL_PRODUCT_ORDER: Shape = Shape {
    name: "CancelProductOrder",
    fields: &[
        text("cancellationReason"), time("effectiveCancellationDate").read_only(), time("requestedCancellationDate"),
        reference("productOrder", &["productOrder"]).required(),
        word("state", &["acknowledged", "terminatedWithError", "inProgress", "done"]).read_only(),
    ],
};

static AGREEMENT_ITEM_REF: Shape = Shape { name: "AgreementItemRef", fields: &[text("id").required(), text("agreementItemId"), text("name")] };

static ORDER_ITEM_RELATIONSHIP: Shape = Shape { name: "OrderItemRelationship", fields: &[text("relationshipType")] };

static ORDER_PRICE: Shape = Shape {
    name: "OrderPrice",
    fields: &[
        text("description"), text("name"), text("priceType"), text("recurringChargePeriod"), text("unitOfMeasure"),
        reference("billingAccount", &["billingAccount"]), part("price", &PRICE), parts("priceAlteration", &PRICE_ALTERATION),
        reference("productOfferingPrice", &["productOfferingPrice"]),
    ],
};

static ORDER_TERM: Shape = Shape { name: "OrderTerm", fields: &[text("description"), text("name"), part("duration", &QUANTITY)] };

static PRICE: Shape = Shape {
    name: "Price",
    fields: &[number("percentage"), number("taxRate"), part("dutyFreeAmount", &MONEY), part("taxIncludedAmount", &MONEY)],
};

static PRICE_ALTERATION: Shape = Shape {
    name: "PriceAlteration",
    fields: &[
        integer("applicationDuration"), text("description"), text("name"), text("priceType").required(), integer("priority"),
        text("recurringChargePeriod"), text("unitOfMeasure"), part("price", &PRICE).required(),
        reference("productOfferingPrice", &["productOfferingPrice"]),
    ],
};

static PRODUCT_OFFERING_QUALIFICATION_ITEM_REF: Shape = Shape {
    name: "ProductOfferingQualificationItemRef",
    fields: &[
        text("id").required(), text("name"), text("productOfferingQualificationHref"), text("productOfferingQualificationId").required(),
        text("productOfferingQualificationName"),
    ],
};

static PRODUCT_ORDER_ITEM: Shape = Shape {
    name: "ProductOrderItem",
    fields: &[
        text("id").required(), integer("quantity"), word("action", &["add", "modify", "delete", "noChange"]).required(),
        reference("appointment", &[]), reference("billingAccount", &["billingAccount"]), parts("itemPrice", &ORDER_PRICE),
        parts("itemTerm", &ORDER_TERM), parts("itemTotalPrice", &ORDER_PRICE), refs("payment", &[]), part("product", &PRODUCT_REF_OR_VALUE),
        reference("productOffering", &["productOffering"]),
        part("productOfferingQualificationItem", &PRODUCT_OFFERING_QUALIFICATION_ITEM_REF), parts("productOrderItem", &PRODUCT_ORDER_ITEM),
        parts("productOrderItemRelationship", &ORDER_ITEM_RELATIONSHIP), refs("qualification", &[]), part("quoteItem", &QUOTE_ITEM_REF),
        word("state", ITEM_STATES),
    ],
};

static PRODUCT_PRICE: Shape = Shape {
    name: "ProductPrice",
    fields: &[
        text("description"), text("name"), text("priceType").required(), text("recurringChargePeriod"), text("unitOfMeasure"),
        reference("billingAccount", &["billingAccount"]), part("price", &PRICE).required(),
        reference("productOfferingPrice", &["productOfferingPrice"]), parts("productPriceAlteration", &PRICE_ALTERATION),
    ],
};

static PRODUCT_REF_OR_VALUE: Shape = Shape {
    name: "ProductRefOrValue",
    fields: &[
        id_of("id", &["product"]), text("description"), flag("isBundle"), flag("isCustomerVisible"), text("name"), time("orderDate"),
        text("productSerialNumber"), time("startDate"), time("terminationDate"), parts("agreement", &AGREEMENT_ITEM_REF),
        reference("billingAccount", &["billingAccount"]), parts("place", &RELATED_PLACE_REF_OR_VALUE),
        parts("product", &PRODUCT_REF_OR_VALUE), parts("productCharacteristic", &CHARACTERISTIC),
        reference("productOffering", &["productOffering"]), parts("productOrderItem", &RELATED_PRODUCT_ORDER_ITEM),
        parts("productPrice", &PRODUCT_PRICE), parts("productRelationship", &PRODUCT_RELATIONSHIP),
        part("productSpecification", &PRODUCT_SPECIFICATION_REF), parts("productTerm", &PRODUCT_TERM),
        parts("realizingResource", &RESOURCE_REF), refs("realizingService", &["service"]), parts("relatedParty", &RELATED_PARTY),
        word("status", PRODUCT_STATES),
    ],
};

static PRODUCT_RELATIONSHIP: Shape = Shape {
    name: "ProductRelationship",
    fields: &[text("relationshipType").required(), part("product", &PRODUCT_REF_OR_VALUE).required()],
};

static PRODUCT_TERM: Shape = Shape {
    name: "ProductTerm",
    fields: &[text("description"), text("name"), part("duration", &QUANTITY), part("validFor", &TIME_PERIOD)],
};

static QUOTE_ITEM_REF: Shape = Shape {
    name: "QuoteItemRef",
    fields: &[text("id").required(), text("name"), text("quoteHref"), text("quoteId").required(), text("quoteName")],
};

static RELATED_CHANNEL: Shape = Shape { name: "RelatedChannel", fields: &[text("id").required(), text("name"), text("role")] };

static RELATED_PRODUCT_ORDER_ITEM: Shape = Shape {
    name: "RelatedProductOrderItem",
    fields: &[
        text("orderItemAction"), text("orderItemId").required(), text("productOrderHref"),
        id_of("productOrderId", &["productOrder"]).required(), text("role"),
    ],
};

static RESOURCE_REF: Shape = Shape { name: "ResourceRef", fields: &[id_of("id", &["resource"]).required(), text("name"), text("value")] };

// TMF637, product inventory.

/// TMF637 `Product`.
pub static PRODUCT: Shape = Shape {
    name: "Product",
    fields: &[
        text("description"), flag("isBundle"), flag("isCustomerVisible"), text("name"), time("orderDate"), text("productSerialNumber"),
        time("startDate"), time("terminationDate"), parts("agreement", &AGREEMENT_ITEM_REF),
        reference("billingAccount", &["billingAccount"]), parts("place", &RELATED_PLACE_REF_OR_VALUE),
        parts("product", &PRODUCT_REF_OR_VALUE), parts("productCharacteristic", &CHARACTERISTIC),
        reference("productOffering", &["productOffering"]), parts("productOrderItem", &RELATED_PRODUCT_ORDER_ITEM),
        parts("productPrice", &PRODUCT_PRICE), parts("productRelationship", &PRODUCT_RELATIONSHIP),
        part("productSpecification", &PRODUCT_SPECIFICATION_REF), parts("productTerm", &PRODUCT_TERM),
        parts("realizingResource", &RESOURCE_REF), refs("realizingService", &["service"]), parts("relatedParty", &RELATED_PARTY),
        word("status", PRODUCT_STATES).required(),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use gate::testing::swagger::expect_fit;

    #[test]
    fn what_passes_a_shape_is_a_document_by_the_file() {
        expect_fit("632", &[&ORGANIZATION, &INDIVIDUAL]);
        expect_fit("629", &[&CUSTOMER]);
        expect_fit("620", &[&CATALOG, &CATEGORY, &PRODUCT_SPECIFICATION, &PRODUCT_OFFERING, &PRODUCT_OFFERING_PRICE]);
        expect_fit("622", &[&PRODUCT_ORDER, &CANCEL_PRODUCT_ORDER]);
        expect_fit("637", &[&PRODUCT]);
    }
}

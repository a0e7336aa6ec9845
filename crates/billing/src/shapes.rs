//! What the documents of this room hold, as TM Forum's version 4 files
//! describe them: accounts, bills and usage.
//!
//! `required` follows the file's `_Create` definitions, `read_only` is what
//! these leave out, `fixed` what the `_Update` definitions leave out.

use gate::shape::parts::{
    ATTACHMENT_REF_OR_VALUE, CHARACTERISTIC_RELATIONSHIP, CHARACTERISTIC_SPECIFICATION, CONTACT_MEDIUM,
    ENTITY_SPECIFICATION_RELATIONSHIP, MONEY, RELATED_PARTY, TARGET_ENTITY_SCHEMA, TAX_ITEM, TIME_PERIOD, PARTY,
};
use gate::shape::{Shape, any, flag, id_of, integer, number, part, parts, reference, refs, text, time, word};

// TMF666, accounts.

/// TMF666 `BillingAccount`.
pub static BILLING_ACCOUNT: Shape = Shape {
    name: "BillingAccount",
    fields: &[
        text("accountType"), text("description"), time("lastModified"), text("name").required(), text("paymentStatus"), text("state"),
        parts("accountBalance", &ACCOUNT_BALANCE).fixed(), parts("accountRelationship", &ACCOUNT_RELATIONSHIP),
        part("billStructure", &BILL_STRUCTURE), parts("contact", &CONTACT), part("creditLimit", &MONEY),
        reference("defaultPaymentMethod", &[]), part("financialAccount", &FINANCIAL_ACCOUNT_REF), parts("paymentPlan", &PAYMENT_PLAN),
        parts("relatedParty", &NAMED_PARTY).required(), parts("taxExemption", &ACCOUNT_TAX_EXEMPTION),
    ],
};

static ACCOUNT_BALANCE: Shape = Shape {
    name: "AccountBalance",
    fields: &[text("balanceType").required(), part("amount", &MONEY).required(), part("validFor", &TIME_PERIOD).required()],
};

static ACCOUNT_RELATIONSHIP: Shape = Shape {
    name: "AccountRelationship",
    fields: &[text("relationshipType").required(), reference("account", &["billingAccount"]), part("validFor", &TIME_PERIOD).required()],
};

static ACCOUNT_TAX_EXEMPTION: Shape = Shape {
    name: "AccountTaxExemption",
    fields: &[text("certificateNumber"), text("issuingJurisdiction").required(), text("reason"), part("validFor", &TIME_PERIOD).required()],
};

static BILLING_CYCLE_SPECIFICATION_REF_OR_VALUE: Shape = Shape {
    name: "BillingCycleSpecificationRefOrValue",
    fields: &[
        integer("billingDateShift"), text("billingPeriod"), integer("chargeDateOffset"), integer("creditDateOffset"), integer("dateShift"),
        text("description"), text("frequency"), flag("isRef").required(), integer("mailingDateOffset"), text("name").required(),
        integer("paymentDueDateOffset"), part("validFor", &TIME_PERIOD),
    ],
};

static BILL_FORMAT_REF_OR_VALUE: Shape = Shape {
    name: "BillFormatRefOrValue",
    fields: &[text("description"), flag("isRef").required(), text("name").required()],
};

static BILL_PRESENTATION_MEDIA_REF_OR_VALUE: Shape = Shape {
    name: "BillPresentationMediaRefOrValue",
    fields: &[text("description"), flag("isRef").required(), text("name").required()],
};

static BILL_STRUCTURE: Shape = Shape {
    name: "BillStructure",
    fields: &[
        part("cycleSpecification", &BILLING_CYCLE_SPECIFICATION_REF_OR_VALUE), part("format", &BILL_FORMAT_REF_OR_VALUE),
        parts("presentationMedia", &BILL_PRESENTATION_MEDIA_REF_OR_VALUE),
    ],
};

static CONTACT: Shape = Shape {
    name: "Contact",
    fields: &[
        text("contactName"), text("contactType").required(), text("partyRoleType"), parts("contactMedium", &CONTACT_MEDIUM),
        part("relatedParty", &NAMED_PARTY), part("validFor", &TIME_PERIOD).required(),
    ],
};

static FINANCIAL_ACCOUNT_REF: Shape = Shape {
    name: "FinancialAccountRef",
    fields: &[text("id").required(), text("name"), part("accountBalance", &ACCOUNT_BALANCE)],
};

static PAYMENT_PLAN: Shape = Shape {
    name: "PaymentPlan",
    fields: &[
        integer("numberOfPayments"), text("paymentFrequency"), text("planType"), integer("priority"), text("status"),
        reference("paymentMethod", &[]), part("totalAmount", &MONEY), part("validFor", &TIME_PERIOD),
    ],
};

static NAMED_PARTY: Shape = Shape {
    name: "RelatedParty",
    fields: &[id_of("id", PARTY).required(), text("name").required(), text("role"), text("@referredType").required()],
};

// TMF678, customer bills.

/// TMF678 `CustomerBill`.
pub static CUSTOMER_BILL: Shape = Shape {
    name: "CustomerBill",
    fields: &[
        time("billDate").fixed(), text("billNo").fixed(), text("category").fixed(), time("lastUpdate").read_only(),
        time("nextBillDate").fixed(), time("paymentDueDate").fixed(), text("runType").fixed(), part("amountDue", &MONEY).fixed(),
        parts("appliedPayment", &APPLIED_PAYMENT).fixed(), parts("billDocument", &ATTACHMENT_REF_OR_VALUE).fixed(),
        reference("billingAccount", &["billingAccount"]).fixed(), part("billingPeriod", &TIME_PERIOD).fixed(),
        part("financialAccount", &BILLED_FINANCIAL_ACCOUNT).fixed(), reference("paymentMethod", &[]).fixed(),
        refs("relatedParty", &["organization", "individual", "customer"]).fixed(), part("remainingAmount", &MONEY).fixed(),
        word("state", &["new", "onHold", "validated", "sent", "partiallyPaid", "settled"]), part("taxExcludedAmount", &MONEY).fixed(),
        part("taxIncludedAmount", &MONEY).fixed(), parts("taxItem", &TAX_ITEM).fixed(),
    ],
};

/// TMF678 `AppliedCustomerBillingRate`.
pub static APPLIED_CUSTOMER_BILLING_RATE: Shape = Shape {
    name: "AppliedCustomerBillingRate",
    fields: &[
        time("date"), text("description"), flag("isBilled"), text("name"), text("type"), parts("appliedTax", &APPLIED_BILLING_TAX_RATE),
        reference("bill", &["customerBill"]), reference("billingAccount", &["billingAccount"]),
        parts("characteristic", &APPLIED_BILLING_RATE_CHARACTERISTIC), part("periodCoverage", &TIME_PERIOD),
        reference("product", &["product"]), part("taxExcludedAmount", &MONEY), part("taxIncludedAmount", &MONEY),
    ],
};

static APPLIED_BILLING_RATE_CHARACTERISTIC: Shape = Shape {
    name: "AppliedBillingRateCharacteristic",
    fields: &[text("name").required(), text("valueType"), any("value").required()],
};

static APPLIED_BILLING_TAX_RATE: Shape = Shape {
    name: "AppliedBillingTaxRate",
    fields: &[text("taxCategory"), number("taxRate"), part("taxAmount", &MONEY)],
};

static APPLIED_PAYMENT: Shape = Shape { name: "AppliedPayment", fields: &[part("appliedAmount", &MONEY), reference("payment", &[])] };

static BILLED_FINANCIAL_ACCOUNT: Shape = Shape {
    name: "FinancialAccountRef",
    fields: &[text("id").required(), text("name"), parts("accountBalance", &ACCOUNT_BALANCE)],
};

// TMF635, usage.

/// TMF635 `Usage`.
pub static USAGE: Shape = Shape {
    name: "Usage",
    fields: &[
        text("description"), time("usageDate"), text("usageType"), parts("ratedProductUsage", &RATED_PRODUCT_USAGE),
        parts("relatedParty", &RELATED_PARTY),
        word("status", &["received", "rejected", "recycled", "guided", "rated", "rerated", "billed"]),
        parts("usageCharacteristic", &USAGE_CHARACTERISTIC), reference("usageSpecification", &["usageSpecification"]),
    ],
};

/// TMF635 `UsageSpecification`.
pub static USAGE_SPECIFICATION: Shape = Shape {
    name: "UsageSpecification",
    fields: &[
        text("description"), flag("isBundle"), time("lastUpdate").read_only(), text("lifecycleStatus"), text("name"), text("version"),
        parts("attachment", &ATTACHMENT_REF_OR_VALUE), refs("constraint", &[]),
        parts("entitySpecRelationship", &ENTITY_SPECIFICATION_RELATIONSHIP), parts("relatedParty", &RELATED_PARTY),
        parts("specCharacteristic", &CHARACTERISTIC_SPECIFICATION), part("targetEntitySchema", &TARGET_ENTITY_SCHEMA),
        part("validFor", &TIME_PERIOD),
    ],
};

static RATED_PRODUCT_USAGE: Shape = Shape {
    name: "RatedProductUsage",
    fields: &[
        flag("isBilled"), flag("isTaxExempt"), text("offerTariffType"), text("ratingAmountType"), time("ratingDate"), number("taxRate"),
        text("usageRatingTag"), part("bucketValueConvertedInAmount", &MONEY), reference("productRef", &["product"]),
        part("taxExcludedRatingAmount", &MONEY), part("taxIncludedRatingAmount", &MONEY),
    ],
};

static USAGE_CHARACTERISTIC: Shape = Shape {
    name: "UsageCharacteristic",
    fields: &[
        text("name").required(), text("valueType"), parts("characteristicRelationship", &CHARACTERISTIC_RELATIONSHIP),
        any("value").required(),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use gate::testing::swagger::expect_fit;

    #[test]
    fn what_passes_a_shape_is_a_document_by_the_file() {
        expect_fit("666", &[&BILLING_ACCOUNT]);
        expect_fit("678", &[&CUSTOMER_BILL, &APPLIED_CUSTOMER_BILLING_RATE]);
        expect_fit("635", &[&USAGE, &USAGE_SPECIFICATION]);
    }
}

"""A document of each kind, and how it may and may not be changed."""

NOTE = [{"author": "clerk", "date": "2026-01-02T03:04:05Z", "text": "by hand"}]
VALID = {"startDateTime": "2026-01-01T00:00:00Z", "endDateTime": "2027-01-01T00:00:00+08:00"}
LIFE = {"to": {"lifecycleStatus": "Launched"}, "at": "lifecycleStatus"}


class Sample:
    """`wrong` is an attribute with a value of the wrong type; `dangling` leads nowhere;
    `illegal` is a list of patches of which only the last breaks the life cycle."""

    def __init__(self, kind, body, patch, missing=None, wrong=None, dangling=None, illegal=(), who="admin", delete=True):
        self.kind, self.body, self.patch, self.missing = kind, body, patch, missing
        self.wrong, self.dangling, self.illegal, self.who, self.delete = wrong, dangling, illegal, who, delete


def party(made, role="owner"):
    return [{"id": made["organization"], "role": role, "@type": "RelatedParty", "@referredType": "Organization", "name": "Acme"}]


def characteristics(values):
    return [
        {"name": "size", "valueType": "integer", "minCardinality": 1, "maxCardinality": 1, "configurable": True,
         "description": "How large", values: [{"value": 1, "isDefault": True, "unitOfMeasure": "GiB"}, {"valueFrom": 1, "valueTo": 9}]},
        {"name": "colour", "valueType": "string", values: [{"value": "red"}, {"value": "blue"}]},
    ]


def catalogued(kind, more=None, dangling=None):
    """What all records of the three catalogs have."""
    body = {"name": f"A {kind}", "description": "made by a check", "version": "1.0", "validFor": VALID, **(more or {})}
    if kind.endswith("Price") or kind.endswith("Catalog") or kind == "catalog" or "pecification" in kind or kind.endswith("Offering"):
        body["lifecycleStatus"] = "In design"
    illegal = [{"lifecycleStatus": "In design"}, {"lifecycleStatus": "Launched"}]
    return Sample(kind, body, {"description": "changed"}, "name", ("name", 7), dangling, illegal)


def samples(made):
    """In an order in which each finds what it refers to in `made`, which maps kinds to ids."""
    yield "party", Sample(
        "organization",
        {"tradingName": "Acme", "name": "Acme Ltd", "isLegalEntity": True, "organizationType": "company", "existsDuring": VALID,
         "organizationIdentification": [{"identificationId": "12345675", "identificationType": "taxId", "issuingDate": "2020-01-01T00:00:00Z"}],
         "contactMedium": [{"mediumType": "email", "preferred": True, "characteristic": {"emailAddress": "a@acme.example"}, "validFor": VALID}],
         "partyCharacteristic": [{"name": "size", "valueType": "string", "value": "small"}]},
        {"tradingName": "Acme 2", "isLegalEntity": None}, "tradingName", ("isLegalEntity", "yes"), None,
        [{"status": "closed"}, {"status": "validated"}])
    yield "party", Sample(
        "individual",
        {"givenName": "Mei", "familyName": "Lin", "fullName": "Mei Lin", "birthDate": "1990-02-03T00:00:00Z", "nationality": "TW",
         "languageAbility": [{"languageCode": "zh", "isFavouriteLanguage": True}],
         "contactMedium": [{"mediumType": "telephone", "characteristic": {"phoneNumber": "+886 2 0000 0000"}}]},
        {"nationality": "JP"}, "givenName", ("birthDate", "spring"), None, [{"status": "deceaded"}, {"status": "validated"}])
    yield "customerManagement", Sample(
        "customer",
        {"name": "Acme as a customer", "engagedParty": {"id": made["organization"], "@referredType": "Organization"}, "validFor": VALID,
         "characteristic": [{"name": "tier", "valueType": "string", "value": "gold"}], "relatedParty": party(made)},
        {"statusReason": "good payer"}, "engagedParty", ("engagedParty", []), {"engagedParty": {"id": "org_none", "@referredType": "Organization"}})

    yield "productCatalogManagement", catalogued("category", {"isRoot": True})
    yield "productCatalogManagement", catalogued(
        "catalog", {"catalogType": "ProductCatalog", "category": [{"id": made["category"]}], "relatedParty": party(made)},
        {"category": [{"id": "ctg_none"}]})
    yield "serviceCatalogManagement", catalogued("serviceCategory", {"isRoot": True})
    yield "serviceCatalogManagement", catalogued("serviceCatalog", {"category": [{"id": made["serviceCategory"]}]})
    yield "resourceCatalog", catalogued("resourceCategory", {"isRoot": True})
    yield "resourceCatalog", catalogued("resourceCatalog", {"category": [{"id": made["resourceCategory"]}]})
    yield "resourceCatalog", catalogued(
        "resourceSpecification",
        {"category": "virtualMachine", "resourceSpecCharacteristic": characteristics("resourceSpecCharacteristicValue")})
    yield "serviceCatalogManagement", catalogued(
        "serviceSpecification",
        {"specCharacteristic": characteristics("characteristicValueSpecification"),
         "resourceSpecification": [{"id": made["resourceSpecification"], "name": "machine"}]},
        {"resourceSpecification": [{"id": "rspc_none"}]})
    yield "productCatalogManagement", catalogued(
        "productSpecification",
        {"productNumber": "P-1", "brand": "Acme", "productSpecCharacteristic": characteristics("productSpecCharacteristicValue"),
         "serviceSpecification": [{"id": made["serviceSpecification"]}], "relatedParty": party(made)},
        {"serviceSpecification": [{"id": "ssp_none"}]})
    yield "productCatalogManagement", catalogued(
        "productOfferingPrice",
        {"priceType": "recurring", "recurringChargePeriodType": "month", "recurringChargePeriodLength": 1,
         "price": {"unit": "TWD", "value": 30.5}, "tax": [{"taxCategory": "VAT", "taxRate": 5}]})
    yield "productCatalogManagement", catalogued(
        "productOffering",
        {"isBundle": False, "isSellable": True, "category": [{"id": made["category"]}],
         "productSpecification": {"id": made["productSpecification"], "name": "what"},
         "productOfferingPrice": [{"id": made["productOfferingPrice"]}]},
        {"productSpecification": {"id": "psp_none"}})

    yield "accountManagement", Sample(
        "billingAccount",
        {"name": "Main", "accountType": "postpaid", "description": "for all", "relatedParty": party(made),
         "contact": [{"contactName": "Mei", "contactType": "primary", "validFor": VALID}]},
        {"description": "changed"}, "name", ("relatedParty", {}), {"relatedParty": [{"id": "org_none", "name": "None", "@referredType": "Organization"}]},
        [{"state": "Closed"}, {"state": "Active"}])
    yield "usageManagement", Sample(
        "usageSpecification",
        {"name": "Traffic", "description": "by hand", "version": "1", "validFor": VALID,
         "specCharacteristic": [{"name": "bytes", "valueType": "number", "configurable": False}]},
        {"description": "changed"}, None, ("name", 1))
    yield "usageManagement", Sample(
        "usage",
        {"description": "by hand", "usageDate": "2026-01-02T00:00:00Z", "usageType": "traffic", "relatedParty": party(made),
         "usageCharacteristic": [{"name": "bytes", "valueType": "number", "value": 7}], "usageSpecification": {"id": made["usageSpecification"]}},
        {"description": "changed"}, None, ("usageDate", "today"), {"usageSpecification": {"id": "usp_none"}},
        [{"status": "rejected"}, {"status": "guided"}])
    yield "productInventory", Sample(
        "product",
        {"name": "Brought along", "status": "created", "isBundle": False, "startDate": "2026-01-02T00:00:00Z",
         "productOffering": {"id": made["productOffering"]}, "relatedParty": party(made),
         "productCharacteristic": [{"name": "size", "valueType": "integer", "value": 4}]},
        {"description": "changed"}, "status", ("isBundle", "no"), {"productOffering": {"id": "pof_none"}}, [{"status": "terminated"}])
    yield "serviceInventory", Sample(
        "service",
        {"name": "Brought along", "state": "designed", "category": "CustomerFacingService", "serviceDate": "2026-01-02",
         "serviceSpecification": {"id": made["serviceSpecification"], "version": "1.0"}, "note": NOTE,
         "serviceCharacteristic": [{"name": "size", "valueType": "integer", "value": 4}]},
        {"description": "changed"}, "serviceSpecification", ("hasStarted", "no"), {"serviceSpecification": {"id": "ssp_none"}},
        [{"state": "terminated"}, {"state": "active"}])
    yield "resourceInventoryManagement", Sample(
        "resource",
        {"name": "Switch 7", "category": "switch", "resourceStatus": "available", "operationalState": "enable", "note": NOTE,
         "resourceCharacteristic": [{"name": "ports", "valueType": "integer", "value": 48}],
         "resourceSpecification": {"id": made["resourceSpecification"]}},
        {"description": "changed"}, "name", ("resourceCharacteristic", "x"), {"resourceSpecification": {"id": "rspc_none"}})
    yield "serviceOrdering", Sample(
        "serviceOrder",
        {"description": "by hand", "category": "trial", "externalReference": [{"name": "ticket", "id": "T-1", "externalReferenceType": "ticket"}],
         "note": NOTE, "relatedParty": party(made), "requestedStartDate": "2026-02-01T00:00:00Z",
         "serviceOrderItem": [{"id": "1", "action": "add", "quantity": 1,
                               "service": {"name": "s", "serviceSpecification": {"id": made["serviceSpecification"]}}}]},
        {"description": "changed"}, "serviceOrderItem", ("serviceOrderItem", {}),
        {"serviceOrderItem": [{"id": "1", "action": "add", "service": {"serviceSpecification": {"id": "ssp_none"}}}]},
        [{"state": "inProgress"}], delete=False)
    yield "serviceOrdering", Sample(
        "cancelServiceOrder", {"cancellationReason": "not needed", "serviceOrder": {"id": made["serviceOrder"]}},
        None, "serviceOrder", ("serviceOrder", "x"), {"serviceOrder": {"id": "sord_none"}})
    yield "productOrderingManagement", Sample(
        "productOrder",
        {"description": "by hand", "externalId": "E-1", "category": "trial", "note": NOTE, "requestedStartDate": "2026-02-01T00:00:00Z",
         "productOrderItem": [{"id": "1", "action": "add", "quantity": 1, "productOffering": {"id": made["on sale"]},
                               "product": {"name": "web", "productCharacteristic": [{"name": "greeting", "value": "hello"}]}}]},
        {"description": "changed"}, "productOrderItem", ("productOrderItem", {}),
        {"productOrderItem": [{"id": "1", "action": "add", "productOffering": {"id": "pof_none"}}]},
        who="customer", delete=False)
    yield "productOrderingManagement", Sample(
        "cancelProductOrder", {"cancellationReason": "not needed", "productOrder": {"id": made["open order"]}},
        None, "productOrder", ("productOrder", "x"), {"productOrder": {"id": "pord_none"}}, who="customer")

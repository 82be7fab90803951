//! Places the order that a case needs, with the available interfaces.

use base64::{Engine, prelude::BASE64_STANDARD};
use profile::element::{End, PeHeader, ProfileHeader, Service, ServicesList};
use profile::{Package, ProfileElement};
use rsp::der::Unknown;
use rsp::ids::{Eid, Iccid};
use rsp::sgp22::es2plus::ConfirmOrderRequest;
use serde_json::json;

use crate::admin::{Admin, object};
use crate::operator::Operator;
use crate::order::{IntendedEuicc, LookupKey, Order, PlacedOrder, ProfileFeatures, StockState};
use crate::testbed::Testbed;
use crate::verdict::{During, Stop};

/// Places an order at the server.
///
/// # Errors
/// Fails if the available interfaces cannot create such an order.
pub(crate) async fn arrange(testbed: &Testbed<'_>, order: &Order) -> Result<PlacedOrder, Stop> {
    if let Some(admin) = &testbed.server.admin {
        return through_admin(testbed, &Admin(admin), order).await.during("arranging the order");
    }
    if let (Some(operator), Some(profile_type)) = (&testbed.server.operator, &testbed.server.profile_type) {
        return match order.beyond_es2plus() {
            Some(beyond) => Err(Stop::needs(format!("{beyond}: configure the admin API"))),
            None => {
                let placed_order = through_es2plus(testbed, operator, profile_type, order).await;
                // A failure to place the order says nothing about the requirement that the case
                // tests.
                placed_order.map_err(|stop| match stop {
                    Stop::Failed(why) | Stop::NotRun(why) => Stop::needs(format!("an order on ES2+: {why}")),
                })
            }
        };
    }
    match (order.beyond_configured_code(), testbed.server.codes.next()) {
        (None, Some(matching_id)) => Ok(PlacedOrder {
            iccid: None,
            matching_id: matching_id.to_owned(),
            confirmation_code: None,
            profile_type: None,
            package: None,
        }),
        (Some(beyond), _) => Err(Stop::needs(format!("{beyond}: configure the admin API or ES2+"))),
        (None, None) => Err(Stop::needs("an order: configure the admin API, ES2+ or a MatchingID")),
    }
}

/// Adds an unordered profile of a unique type to the stock.
///
/// # Errors
/// Fails if the server refuses the profile.
pub(crate) async fn stock(
    testbed: &Testbed<'_>,
    admin: &Admin<'_>,
    order: &Order,
) -> Result<PlacedOrder, Stop> {
    let iccid = fresh_iccid(testbed)?;
    let package = package(iccid, &order.profile);
    let profile_type = format!("{PROFILE_TYPE} {iccid}");
    let protection = if order.ppk { "ProfileProtectionKeys" } else { "SessionKeys" };
    let rebinding = if order.bound_once { "Refused" } else { "Allowed" };
    let icon = order.profile.icon.then(|| BASE64_STANDARD.encode(icon()));
    admin
        .stock(&object(json!({
            "package": BASE64_STANDARD.encode(&package),
            "profileType": profile_type,
            "serviceProviderName": "Landfall",
            "profileName": "SGP.23",
            "profilePolicyRules": order.profile.ppr1.then_some(["PPR1"]),
            "icon": icon,
            "iconType": order.profile.icon.then_some("png"),
            "protection": protection,
            "rebinding": rebinding,
        })))
        .await?;
    Ok(PlacedOrder {
        iccid: Some(iccid),
        matching_id: String::new(),
        confirmation_code: order.confirmation_code,
        profile_type: Some(profile_type),
        package: Some(package),
    })
}

impl Testbed<'_> {
    /// Adds another profile to the stock.
    ///
    /// # Errors
    /// Fails without the admin API.
    pub async fn second_profile(&self) -> Result<Iccid, Stop> {
        let placed_order = stock(self, &self.admin()?, &Order::PLAIN).await?;
        placed_order.iccid.ok_or_else(|| Stop::needs("a second profile"))
    }
}

async fn through_admin(testbed: &Testbed<'_>, admin: &Admin<'_>, order: &Order) -> Result<PlacedOrder, Stop> {
    let mut placed_order = stock(testbed, admin, order).await?;
    if let (Some(operator), Some(inbox)) = (&testbed.server.operator, &testbed.server.inbox) {
        let own = &operator.identifier;
        admin.register(own, own, Some(&inbox.address())).await?;
    }
    if order.state == StockState::Available {
        return Ok(placed_order);
    }
    if order.lookup == LookupKey::ByEvent {
        // The server only calls the SM-DS for an order that an operator placed.
        let operator = testbed.operator()?;
        operator
            .download_order(placed_order.iccid, None, eid_of(testbed, order))
            .await?
            .done()
            .during("DownloadOrder")?;
        return confirm(testbed, operator, order, placed_order).await;
    }
    let yesterday = testbed.server.world.now().seconds() - 86_400;
    let made = admin
        .order(&object(json!({
            "iccid": placed_order.iccid.map(|iccid| iccid.to_string()),
            "requester": testbed.server.operator.as_ref().map(|operator| operator.identifier.clone()),
            "eid": eid_of(testbed, order).map(|eid| eid.to_string()),
            "matchingId": (order.lookup == LookupKey::ByEid).then_some(""),
            "confirmationCode": order.confirmation_code,
            "state": if order.state == StockState::Confirmed { "Confirmed" } else { "Released" },
            "expires": order.expired.then(|| rsp::time::Timestamp::from_seconds(yesterday).to_string()),
            "downloadAttempts": order.attempts.map(|(begun, _)| begun),
            "maxDownloadAttempts": order.attempts.map(|(_, most)| most),
            "wrongConfirmationCodes": (order.wrong_confirmation_codes > 0)
                .then_some(order.wrong_confirmation_codes),
            "reusable": order.reusable.then_some(true),
        })))
        .await?;
    placed_order.matching_id = made.matching_id;
    Ok(placed_order)
}

async fn through_es2plus(
    testbed: &Testbed<'_>,
    operator: &Operator,
    profile_type: &str,
    order: &Order,
) -> Result<PlacedOrder, Stop> {
    let eid = eid_of(testbed, order);
    let reserved =
        operator.download_order(None, Some(profile_type), eid).await?.done().during("DownloadOrder")?;
    let iccid = reserved.iccid;
    let placed_order = PlacedOrder {
        iccid: Some(iccid),
        matching_id: String::new(),
        confirmation_code: order.confirmation_code,
        profile_type: Some(profile_type.to_owned()),
        package: None,
    };
    if order.state == StockState::Available {
        operator.cancel(&operator.cancellation(iccid)).await?.done().during("CancelOrder")?;
        return Ok(placed_order);
    }
    confirm(testbed, operator, order, placed_order).await
}

/// Runs ES2+.ConfirmOrder for a reserved profile.
async fn confirm(
    testbed: &Testbed<'_>,
    operator: &Operator,
    order: &Order,
    mut placed_order: PlacedOrder,
) -> Result<PlacedOrder, Stop> {
    let iccid = placed_order.iccid.ok_or_else(|| Stop::needs("a profile whose ICCID is known"))?;
    let request = ConfirmOrderRequest {
        eid: eid_of(testbed, order),
        matching_id: (order.lookup == LookupKey::ByEid).then(String::new),
        confirmation_code: order.confirmation_code.map(str::to_owned),
        smds_address: smds_of(testbed, order)?,
        release_flag: order.state == StockState::Released,
        ..operator.confirmation(iccid)
    };
    placed_order.matching_id = operator.confirm(&request).await?.done().during("ConfirmOrder")?.matching_id;
    Ok(placed_order)
}

fn eid_of(testbed: &Testbed<'_>, order: &Order) -> Option<Eid> {
    match order.intended_for {
        IntendedEuicc::Any => None,
        IntendedEuicc::Own => Some(testbed.euicc.eid),
        IntendedEuicc::Other => Some(testbed.other_euicc.eid),
    }
}

fn smds_of(testbed: &Testbed<'_>, order: &Order) -> Result<Option<String>, Stop> {
    match (order.lookup, &testbed.server.smds_address) {
        (LookupKey::ByEvent, None) => Err(Stop::needs("an SM-DS address for events")),
        (LookupKey::ByEvent, Some(address)) => Ok(Some(address.clone())),
        _ => Ok(None),
    }
}

/// The profile type of the packages that the tester adds to the stock.
pub const PROFILE_TYPE: &str = "SGP.23";

/// Returns a random ICCID that no other run is likely to use.
///
/// # Errors
/// Never fails, because the number always has the right digits.
pub(crate) fn fresh_iccid(testbed: &Testbed<'_>) -> Result<Iccid, Stop> {
    let number = u64::from_be_bytes(testbed.server.world.random::<8>()) % 100_000_000_000_000;
    Iccid::with_luhn(&format!("8900{number:014}")).map_err(|e| Stop::needs(format!("an ICCID: {e}")))
}

/// Builds a minimal package with the services that the profile needs.
pub fn package(iccid: Iccid, features: &ProfileFeatures) -> Vec<u8> {
    let mut services = Vec::new();
    if features.usim {
        services.extend([Service::USIM, Service::MILENAGE]);
    }
    if features.get_identity {
        services.push(Service::GET_IDENTITY);
    }
    minimal_package(iccid, PROFILE_TYPE, &services)
}

/// Builds a package without contents that requires these services.
pub fn minimal_package(iccid: Iccid, profile_type: &str, services: &[Service]) -> Vec<u8> {
    let header = ProfileHeader {
        major_version: 2,
        minor_version: 3,
        profile_type: Some(profile_type.to_owned()),
        iccid: iccid.to_profile_header().into(),
        pol: None,
        mandatory_services: ServicesList { services: services.to_vec(), unknown: Unknown::default() },
        mandatory_gfste_list: vec![],
        connectivity_parameters: None,
        mandatory_aids: None,
        iot_options: None,
        unknown: Unknown::default(),
    };
    let end = End { header: PeHeader::mandated(1), unknown: Unknown::default() };
    Package { elements: vec![ProfileElement::Header(header), ProfileElement::End(end)] }.encode()
}

/// Returns an icon of the maximum size. No party checks its contents.
fn icon() -> Vec<u8> {
    let mut icon = b"\x89PNG\r\n\x1a\n".to_vec();
    icon.resize(1024, 0x5A);
    icon
}

//! The testbed of one case: an IoT eUICC that is associated with the eIM, and its IPA.

use std::sync::{Arc, Mutex, PoisonError};

use certs::{EuiccCredentials, subject_public_key_info};
use crypto::{Curve, SecretKey};
use device::{DownloadOptions, Es10, EventSource, Lpa, LpaSettings};
use euicc_sim::{Card, CardDescription};
use rsp::activation_code::ActivationCode;
use rsp::der::{Null, Opaque, Raw};
use rsp::ids::{Eid, Iccid, SmdpAddress};
use rsp::sgp22::OtherSignedNotification;
use rsp::sgp32::es10b::NotificationSearch;
use rsp::sgp32::result::{
    DisableProfileResult, EnableProfileResult, EuiccPackageResultDataSigned, EuiccPackageResultSigned,
};
use rsp::sgp32::{
    EimConfigurationData, EuiccPackageRequest, EuiccPackageResult, EuiccResultData, PendingNotification,
};
use sgp23::euicc::Euicc;
use sgp23::{Binding, Findings, Stop, Variant, Verdict, minimal_package};
use sm_dp::{ProfileOptions, SmDpPlus};
use world::{Fault, Link, MemoryRecords, NullEvents, RamMemory, Random, SeededRandom, World};

use super::operator::{Operation, Operator, OtherEim};
use super::subject::EimUnderTest;

/// The address of the SM-DP+ from which the profiles of the tester's cards come. Only the tester
/// reaches it.
const SM_DP: &str = "smdpp.tester.example";

/// The identifier and the host name of the other eIM.
const OTHER_EIM: &str = "eim.other.example";

/// The testbed of one case.
pub struct Testbed<'a> {
    /// The eIM.
    pub(crate) eim: &'a EimUnderTest,
    /// The binding of ESipa.
    pub(crate) binding: Binding,
    /// The EID of the eUICC of this case. No other case uses it.
    pub(crate) eid: Eid,
    /// Another EID, which is not registered.
    pub(crate) other_eid: Eid,
    /// The link to the eIM: HTTPS, or CoAP in the cases of CoAP.
    pub(super) esipa: Link,
    /// True if each request has an element that no version of SGP.32 defines.
    pub(super) adds_unknown: bool,
    /// Deviations of the eIM that do not fail the case.
    pub(crate) findings: &'a Findings,
    /// True if the eIM has the data of the device.
    pub(super) knows_data: bool,
    /// The card, and the ES10 client of the IPA. The mutex is never locked: it makes the testbed
    /// `Sync`, although a card is not.
    lpa: Mutex<Lpa<Card>>,
    /// The SM-DP+ of the profiles of the card, if the PKI has its keys.
    sm_dp: Result<SmDpPlus, Stop>,
    credentials: EuiccCredentials,
    curve: Curve,
    random: SeededRandom,
}

impl<'a> Testbed<'a> {
    /// Creates a testbed with a new card, which is associated with the eIM.
    ///
    /// # Errors
    /// The PKI cannot issue certificates, or the card refuses the eIM.
    pub(super) fn new(eim: &'a EimUnderTest, variant: &Variant<'a>) -> Result<Self, Stop> {
        let euicc = |name| Euicc::random(&eim.pki, variant.curve, variant.random.branch(name));
        let Euicc { credentials, eid, .. } = euicc("eUICC")?;
        let sm_dp = sm_dp(eim);
        Ok(Self {
            eim,
            binding: variant.binding,
            eid,
            other_eid: euicc("other eUICC")?.eid,
            esipa: eim.esipa.clone(),
            adds_unknown: false,
            findings: variant.findings,
            knows_data: false,
            lpa: Mutex::new(card(eim, &credentials, &eim.configuration, &sm_dp, &variant.random)?),
            sm_dp,
            credentials,
            curve: variant.curve,
            random: variant.random.clone(),
        })
    }

    /// Replaces the card by one with an association token.
    ///
    /// # Errors
    /// The card refuses the eIM.
    pub(crate) async fn with_token(&mut self) -> Verdict {
        let token = Some(EimConfigurationData::TOKEN_REQUESTED);
        let configuration =
            EimConfigurationData { association_token: token, ..self.eim.configuration.clone() };
        let random = self.random.branch("token");
        self.lpa = Mutex::new(card(self.eim, &self.credentials, &configuration, &self.sm_dp, &random)?);
        match self.token().await? {
            Some(_) => Ok(()),
            None => Err(Stop::needs("an eUICC with an association token")),
        }
    }

    /// Returns the association token of the eIM at the eUICC.
    ///
    /// # Errors
    /// The card fails.
    pub(crate) async fn token(&mut self) -> Result<Option<i64>, Stop> {
        let eims = self.es10().get_eim_configuration_data().await.map_err(card_failed)?;
        Ok(eims.first().and_then(|eim| eim.association_token))
    }

    /// Returns the ES10 client.
    pub(crate) fn es10(&mut self) -> &mut Es10<Card> {
        self.lpa().es10()
    }

    fn lpa(&mut self) -> &mut Lpa<Card> {
        self.lpa.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the configuration of another eIM, with a key of its own.
    pub(crate) fn other_eim(&self) -> OtherEim {
        let random = self.random.branch("other eIM");
        let key = SecretKey::generate(Curve::P256, &mut |octets| random.fill(octets)).public_key();
        OtherEim {
            eim_id: OTHER_EIM.to_owned(),
            fqdn: Some(OTHER_EIM.to_owned()),
            counter: Some(0),
            public_key: Some(hex::encode_upper(subject_public_key_info(&key))),
        }
    }

    /// Returns the eIMs with which the card is associated, as an order has them. The card does not
    /// return counters.
    ///
    /// # Errors
    /// The card fails.
    pub(crate) async fn associated(&mut self) -> Result<Vec<OtherEim>, Stop> {
        let eims = self.es10().get_eim_configuration_data().await.map_err(card_failed)?;
        Ok(eims.iter().map(OtherEim::of).collect())
    }

    /// Returns random octets of the case.
    fn random<const N: usize>(&self) -> [u8; N] {
        let mut octets = [0; N];
        self.random.fill(&mut octets);
        octets
    }

    fn operator(&self) -> Result<&dyn Operator, Stop> {
        self.eim.operator.as_deref().ok_or_else(|| Stop::needs("orders at the eIM"))
    }

    /// Registers the device at the eIM.
    ///
    /// # Errors
    /// The operator cannot do it.
    pub(crate) async fn register(&self) -> Verdict {
        Ok(self.operator()?.register(self.eid).await?)
    }

    /// Orders a package for the registered device.
    ///
    /// # Errors
    /// The operator cannot do it.
    pub(crate) async fn order(&self, operations: &[Operation]) -> Verdict {
        Ok(self.operator()?.order(self.eid, operations).await?)
    }

    /// Registers the device, and orders a package for it.
    ///
    /// # Errors
    /// The operator cannot do it.
    pub(crate) async fn ordered(&self, operations: &[Operation]) -> Verdict {
        self.register().await?;
        self.order(operations).await
    }

    /// Installs a profile on the card, from an SM-DP+ of the tester.
    ///
    /// # Errors
    /// The PKI has no keys of an SM-DP+.
    pub(crate) async fn installed(&mut self) -> Result<Iccid, Stop> {
        self.installed_with(&ProfileOptions::default()).await
    }

    /// Installs a profile with these options.
    ///
    /// # Errors
    /// The PKI has no keys of an SM-DP+.
    pub(crate) async fn installed_with(&mut self, options: &ProfileOptions) -> Result<Iccid, Stop> {
        let number = u64::from_be_bytes(self.random()) % 100_000_000_000_000;
        let iccid = Iccid::with_luhn(&format!("8900{number:014}"))
            .map_err(|error| Stop::needs(format!("an ICCID: {error}")))?;
        let sm_dp = self.sm_dp.clone()?;
        sm_dp.add_profile(&minimal_package(iccid, "SGP.33", &[]), options).await?;
        let order = serde_json::from_value(serde_json::json!({ "iccid": iccid, "matchingId": iccid }))
            .map_err(|error| Stop::needs(format!("an order: {error}")))?;
        sm_dp.ensure_order(&order).await?;
        let code: ActivationCode = format!("1${SM_DP}${iccid}")
            .parse()
            .map_err(|error| Stop::needs(format!("an activation code: {error}")))?;
        let installed = self.lpa().download(&code, DownloadOptions::default()).await;
        installed.map_err(|error| Stop::needs(format!("a card with a profile: {error}")))?;
        Ok(iccid)
    }

    /// Lets the card execute a package. The card verifies the eIM, the EID, the counter and the
    /// signature.
    ///
    /// # Errors
    /// The card refuses the package.
    pub(crate) async fn execute(
        &mut self,
        package: &Raw<EuiccPackageRequest>,
    ) -> Result<Raw<EuiccPackageResult>, Stop> {
        let result = self.es10().load_euicc_package(package).await.map_err(card_failed)?;
        match &*result {
            EuiccPackageResult::EuiccPackageResultSigned(_) => {}
            EuiccPackageResult::EuiccPackageErrorSigned(error) => {
                let code = error.euicc_package_error_data_signed.euicc_package_error_code;
                return Err(Stop::failed(format!("the eUICC refused the package with {code}")));
            }
            EuiccPackageResult::EuiccPackageErrorUnsigned(_) => {
                return Err(Stop::failed(
                    "the eUICC refused the package: eimId or eimSignature does not match the configuration",
                ));
            }
        }
        if changes_profile(&result) {
            self.es10().refresh().await.map_err(card_failed)?;
        }
        Ok(result)
    }

    /// Returns the pending notifications of the card.
    ///
    /// # Errors
    /// The card fails.
    pub(crate) async fn notifications(&mut self) -> Result<Vec<Opaque<PendingNotification>>, Stop> {
        match self.es10().retrieve_notifications_list(None).await.map_err(card_failed)? {
            device::es10::RetrievedList::Notifications(list) => Ok(list),
            device::es10::RetrievedList::EuiccPackageResults(_) => Ok(Vec::new()),
        }
    }

    /// Returns the first notification of the card that is not about an installation.
    ///
    /// # Errors
    /// The card has none.
    pub(crate) async fn other_notification(&mut self) -> Result<OtherSignedNotification, Stop> {
        let list = self.notifications().await?;
        let found = list.into_iter().find_map(|entry| match entry.decode().ok()?.into_value() {
            PendingNotification::OtherSignedNotification(it) => Some(it),
            _ => None,
        });
        found.ok_or_else(|| Stop::needs("a card with a notification"))
    }

    /// Returns the sequence numbers of the results that the card keeps.
    ///
    /// # Errors
    /// The card fails.
    pub(crate) async fn results_on_card(&mut self) -> Result<Vec<i64>, Stop> {
        let search = Some(NotificationSearch::EuiccPackageResults(Null));
        match self.es10().retrieve_notifications_list(search).await.map_err(card_failed)? {
            device::es10::RetrievedList::Notifications(_) => Ok(Vec::new()),
            device::es10::RetrievedList::EuiccPackageResults(list) => {
                let number = |entry: &Opaque<EuiccPackageResult>| entry.decode().ok()?.seq_number();
                Ok(list.iter().filter_map(number).collect())
            }
        }
    }

    /// Signs the same result data as another eUICC of the same manufacturer.
    ///
    /// # Errors
    /// The result has no data, or the PKI cannot issue a certificate.
    pub(crate) async fn signed_by_another_euicc(
        &mut self,
        result: &EuiccPackageResult,
    ) -> Result<Raw<EuiccPackageResult>, Stop> {
        let other = Euicc::random(&self.eim.pki, self.curve, self.random.branch("forger"))?;
        self.signed_again(data_of(result)?.clone(), &other.credentials).await
    }

    /// Changes the data of a result, and signs them with the key of the card.
    ///
    /// # Errors
    /// The result has no data.
    pub(crate) async fn changed_result(
        &mut self,
        result: &EuiccPackageResult,
        change: impl FnOnce(&mut EuiccPackageResultDataSigned),
    ) -> Result<Raw<EuiccPackageResult>, Stop> {
        let mut data = data_of(result)?.clone();
        change(&mut data);
        let credentials = self.credentials.clone();
        self.signed_again(data, &credentials).await
    }

    async fn signed_again(
        &mut self,
        data: EuiccPackageResultDataSigned,
        credentials: &EuiccCredentials,
    ) -> Result<Raw<EuiccPackageResult>, Stop> {
        let token = self.token().await?;
        let mut signed = EuiccPackageResultSigned {
            euicc_package_result_data_signed: Raw::new(data),
            euicc_sign_epr: Vec::new(),
        };
        let signature = credentials.euicc.key.sign(&signed.signed_octets(token));
        signed.euicc_sign_epr = signature.as_bytes().to_vec();
        Ok(Raw::new(EuiccPackageResult::EuiccPackageResultSigned(signed)))
    }
}

/// Creates the SM-DP+ of the profiles of cards.
fn sm_dp(eim: &EimUnderTest) -> Result<SmDpPlus, Stop> {
    let address = SM_DP.parse().map_err(|_| Stop::needs("an address"))?;
    Ok(SmDpPlus::new(
        sm_dp::Config::new(address),
        sm_dp::Credentials::from_pki(&eim.pki)?,
        Arc::new(MemoryRecords::default()),
        eim.world.clone(),
        Arc::new(NullEvents),
    ))
}

/// Creates a card that is associated with the eIM.
fn card(
    eim: &EimUnderTest,
    credentials: &EuiccCredentials,
    configuration: &EimConfigurationData,
    sm_dp: &Result<SmDpPlus, Stop>,
    random: &SeededRandom,
) -> Result<Lpa<Card>, Stop> {
    let credentials = std::slice::from_ref(credentials);
    let eid = credentials.first().map(|it| it.eid).ok_or_else(|| Stop::needs("an eUICC"))?;
    let description = CardDescription::iot_for(eid, credentials, std::slice::from_ref(configuration));
    let clock = Arc::clone(&eim.world.clock);
    let world = World { clock: Arc::clone(&clock), random: Arc::new(random.branch("card")) };
    let card = Card::open(description, RamMemory::default(), world)?;
    let link = sm_dp.as_ref().ok().map(SmDpPlus::link);
    let links = move |address: &SmdpAddress| -> Result<Link, Fault> {
        link.clone().ok_or_else(|| {
            Fault::new(format!("cannot reach {address}"), "the PKI has no keys of an SM-DP+", "report this")
        })
    };
    let events = EventSource::new("tester", clock, NullEvents);
    Ok(Lpa::new(card, links, LpaSettings::default(), events))
}

/// Returns the signed part of a result.
///
/// # Errors
/// The result is an error.
pub(crate) fn signed_part(result: &EuiccPackageResult) -> Result<&EuiccPackageResultSigned, Stop> {
    match result {
        EuiccPackageResult::EuiccPackageResultSigned(signed) => Ok(signed),
        _ => Err(Stop::needs("a result that the eUICC signed")),
    }
}

/// Returns the data that the eUICC signed.
///
/// # Errors
/// The result is an error.
pub(crate) fn data_of(result: &EuiccPackageResult) -> Result<&EuiccPackageResultDataSigned, Stop> {
    signed_part(result).map(|signed| &*signed.euicc_package_result_data_signed)
}

fn changes_profile(result: &EuiccPackageResult) -> bool {
    let Ok(data) = data_of(result) else { return false };
    data.euicc_result.iter().any(|entry| {
        entry.decode().is_ok_and(|entry| {
            matches!(
                &*entry,
                EuiccResultData::EnableResult(EnableProfileResult::OK)
                    | EuiccResultData::DisableResult(DisableProfileResult::OK)
            )
        })
    })
}

/// The card belongs to the tester, so its failure says nothing about the eIM.
pub(crate) fn card_failed(error: impl std::fmt::Display) -> Stop {
    Stop::needs(format!("the card of the tester: {error}"))
}

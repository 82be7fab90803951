//! The testbed of one case: the server, the binding, an eUICC, and all steps of a download with the
//! checks that the standard requires of each response.

use bytes::Bytes;
use certs::{Certificate, Role, ServerCertificate, Verified, check_server, same_operator};
use crypto::bsp::MAX_TLV;
use crypto::{Curve, SecretKey, Signature};
use http::{Request, Response};
use rsp::der::{Asn1, tlv_bytes};
use rsp::finding::{self, Finding, FindingKind};
use rsp::ids::{CertificateDer, Iccid, Oid, TransactionId};
use rsp::sgp22::Function;
use rsp::sgp22::PendingNotification;
use rsp::sgp22::es9plus::{
    AuthenticateClient, AuthenticateClientOk, AuthenticateClientRequest, CancelSession,
    GetBoundProfilePackage, GetBoundProfilePackageOk, GetBoundProfilePackageRequest, InitiateAuthentication,
    InitiateAuthenticationOk, InitiateAuthenticationRequest,
};
use rsp::sgp22::es10b::AuthenticateServerResponse;
use rsp::sgp22::json;
use rsp::status::Status;
use serde::{Serialize, de::DeserializeOwned};
use world::Link;

use crate::admin::{Admin, ProfileView};
use crate::binding::{Answer, Binding};
use crate::bpp::{self, Opened};
use crate::euicc::{Cancel, Euicc, Prepare, SIGNATURE};
use crate::operator::Operator;
use crate::order::PlacedOrder;
use crate::server::{Inbox, Server};
use crate::subject::{Findings, Variant};
use crate::verdict::{During, Stop, Verdict, ensure, equal};

/// The testbed of one case.
pub struct Testbed<'a> {
    /// The server.
    pub server: &'a Server,
    /// The binding of ES9+.
    pub binding: Binding,
    /// The curve of the eUICC's certificate.
    pub curve: Curve,
    /// The eUICC of this case. No other case uses it.
    pub euicc: Euicc,
    /// A second eUICC.
    pub other_euicc: Euicc,
    /// The order that was placed for this case.
    pub placed_order: Option<PlacedOrder>,
    /// Deviations of the server that do not fail the case.
    pub findings: &'a Findings,
}

/// The verified response of InitiateAuthentication.
pub struct Started {
    /// The response.
    pub ok: InitiateAuthenticationOk,
    /// CERT.DPauth.
    pub auth: Verified<ServerCertificate>,
}

/// The verified response of AuthenticateClient.
pub struct Offered {
    /// The response.
    pub ok: AuthenticateClientOk,
    /// CERT.DPauth.
    pub auth: Verified<ServerCertificate>,
    /// CERT.DPpb.
    pub pb: Verified<ServerCertificate>,
}

/// The decrypted response of GetBoundProfilePackage.
pub struct Bound {
    /// The TransactionID.
    pub transaction_id: TransactionId,
    /// The package in the response.
    pub octets: Vec<u8>,
    /// The decrypted contents.
    pub opened: Opened,
    /// The SM-DP+ OID.
    pub smdp_oid: Oid,
}

impl<'a> Testbed<'a> {
    /// Creates a testbed with two random eUICCs.
    ///
    /// # Errors
    /// Fails if the PKI cannot issue their certificates.
    pub fn new(server: &'a Server, variant: &Variant<'a>) -> Result<Self, Stop> {
        let euicc = |name| Euicc::random(&server.pki, variant.curve, variant.random.branch(name));
        Ok(Self {
            server,
            binding: variant.binding,
            curve: variant.curve,
            euicc: euicc("eUICC")?,
            other_euicc: euicc("other eUICC")?,
            placed_order: None,
            findings: variant.findings,
        })
    }

    /// Keeps deviations of the server that do not fail the case.
    fn accept(&self, found: impl IntoIterator<Item = Finding>) {
        self.findings.add(found);
    }

    /// Returns the order that was placed for this case.
    ///
    /// # Errors
    /// Fails if no order was placed for this case.
    pub fn placed_order(&self) -> Result<&PlacedOrder, Stop> {
        self.placed_order.as_ref().ok_or_else(|| Stop::needs("an order"))
    }

    /// Returns the ICCID of the ordered profile.
    ///
    /// # Errors
    /// Fails if it is not known.
    pub fn iccid(&self) -> Result<Iccid, Stop> {
        self.placed_order()?.iccid.ok_or_else(|| Stop::needs("a profile whose ICCID is known"))
    }

    /// Returns the type of the ordered profile.
    ///
    /// # Errors
    /// Fails if it is not known.
    pub fn profile_type(&self) -> Result<&str, Stop> {
        self.placed_order()?
            .profile_type
            .as_deref()
            .ok_or_else(|| Stop::needs("a profile whose type is known"))
    }

    /// Returns a testbed with the same eUICCs and another order.
    pub fn following(&self, placed_order: PlacedOrder) -> Testbed<'_> {
        Testbed {
            euicc: self.euicc.clone(),
            other_euicc: self.other_euicc.clone(),
            placed_order: Some(placed_order),
            ..*self
        }
    }

    /// Returns a testbed with the two eUICCs exchanged and the same order.
    pub fn with_the_other_euicc(&self) -> Testbed<'_> {
        Testbed {
            euicc: self.other_euicc.clone(),
            other_euicc: self.euicc.clone(),
            placed_order: self.placed_order.clone(),
            ..*self
        }
    }

    /// Returns the operator.
    ///
    /// # Errors
    /// Fails if no operator is configured.
    pub fn operator(&self) -> Result<&Operator, Stop> {
        self.server.operator.as_ref().ok_or_else(|| Stop::needs("an operator with a client certificate"))
    }

    /// Returns the second operator.
    ///
    /// # Errors
    /// Fails if no second operator is configured.
    pub fn second_operator(&self) -> Result<&Operator, Stop> {
        let second = self.server.second_operator.as_ref();
        second.ok_or_else(|| Stop::needs("a second operator with a client certificate"))
    }

    /// Returns the link that uses an untrusted client certificate.
    ///
    /// # Errors
    /// Fails if no such link is configured.
    pub fn stranger(&self) -> Result<&Link, Stop> {
        let link = self.server.stranger.as_ref();
        link.ok_or_else(|| Stop::needs("a client certificate of a CI that the server does not trust"))
    }

    /// Returns the endpoint at which the server can call the operator.
    ///
    /// # Errors
    /// Fails if no such endpoint is configured.
    pub fn inbox(&self) -> Result<&dyn Inbox, Stop> {
        let inbox = self.server.inbox.as_deref();
        inbox.ok_or_else(|| Stop::needs("an endpoint at which the server can call the operator"))
    }

    /// Returns the client of the admin API.
    ///
    /// # Errors
    /// Fails if no admin API is configured.
    pub fn admin(&self) -> Result<Admin<'_>, Stop> {
        self.server.admin.as_ref().map(Admin).ok_or_else(|| Stop::needs("the admin API"))
    }

    /// Returns the state of the profile of this case.
    ///
    /// # Errors
    /// Fails if the state cannot be read.
    pub async fn profile(&self) -> Result<ProfileView, Stop> {
        self.admin()?.profile(self.iccid()?).await
    }

    /// Checks the state of the profile of this case.
    ///
    /// # Errors
    /// Fails if the state is different or cannot be read.
    pub async fn expect_state(&self, state: &str) -> Verdict {
        equal("the profile's state", &self.profile().await?.state.as_str(), &state)
    }

    /// Sends a request as an LPA.
    ///
    /// # Errors
    /// Fails if no response arrives.
    pub async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Stop> {
        Ok(world::send(&self.server.lpa, request).await?)
    }

    /// Calls an ES9+ function in the binding of the case.
    ///
    /// # Errors
    /// Fails if the response is invalid.
    pub async fn call<F: Function>(&self, request: &F::Request) -> Result<Answer<F::Reply>, Stop>
    where
        F::Request: Serialize + Asn1,
        F::Reply: DeserializeOwned + Asn1,
    {
        let request = self.binding.request::<F>(self.server.version, request);
        let response = self.send(request).await?;
        let (answer, findings) = finding::collect(|| self.binding.answer::<F>(&response));
        self.accept(findings);
        answer
    }

    /// Calls a function and checks that it is refused with this status.
    ///
    /// # Errors
    /// Fails if it is not.
    pub async fn refused<F: Function>(&self, request: &F::Request, status: Status) -> Verdict
    where
        F::Request: Serialize + Asn1,
        F::Reply: DeserializeOwned + Asn1,
    {
        self.call::<F>(request).await?.refused(F::NAME, status).during(F::NAME)
    }

    /// Builds the InitiateAuthentication request of the case's eUICC.
    pub fn initiation(&self) -> InitiateAuthenticationRequest {
        self.euicc.initiation(&self.server.address)
    }

    /// Runs InitiateAuthentication and verifies the response.
    ///
    /// # Errors
    /// Fails if the response violates the standard.
    pub async fn initiate(&self) -> Result<Started, Stop> {
        self.initiate_with(&self.initiation()).await
    }

    /// Runs InitiateAuthentication with a modified request and verifies the response.
    ///
    /// # Errors
    /// Fails if the response violates the standard.
    pub async fn initiate_with(&self, request: &InitiateAuthenticationRequest) -> Result<Started, Stop> {
        let ok =
            self.call::<InitiateAuthentication>(request).await?.done().during("InitiateAuthentication")?;
        self.check_start(request, ok).during("the response to InitiateAuthentication")
    }

    fn check_start(
        &self,
        request: &InitiateAuthenticationRequest,
        ok: InitiateAuthenticationOk,
    ) -> Result<Started, Stop> {
        let auth = self.certificate(&ok.server_certificate, Role::DpAuth)?;
        verify("serverSignature1", &auth, ok.server_signed1.bytes(), &ok.server_signature1)?;
        equal("serverSigned1.transactionId", &ok.server_signed1.transaction_id, &ok.transaction_id)?;
        equal("serverSigned1.euiccChallenge", &ok.server_signed1.euicc_challenge, &request.euicc_challenge)?;
        ensure(ok.server_signed1.server_address.eq_ignore_ascii_case(&request.smdp_address), || {
            format!(
                "serverSigned1.serverAddress is {:?}, expected {:?}",
                ok.server_signed1.server_address, request.smdp_address
            )
        })?;
        let info = &request.euicc_info1;
        ensure(info.euicc_ci_pk_id_list_for_verification.contains(&auth.ci_key_id), || {
            format!("CERT.DPauth is below CI {}, whose certificates the eUICC cannot verify", auth.ci_key_id)
        })?;
        ensure(info.euicc_ci_pk_id_list_for_signing.contains(&ok.euicc_ci_pk_id_to_be_used), || {
            format!("euiccCiPKIdToBeUsed is {}, which the eUICC did not offer", ok.euicc_ci_pk_id_to_be_used)
        })?;
        Ok(Started { ok, auth })
    }

    /// Runs AuthenticateClient for the order of the case in a new session.
    ///
    /// # Errors
    /// Fails if a response violates the standard.
    pub async fn offered(&self) -> Result<Offered, Stop> {
        let started = self.initiate().await?;
        let request = self.euicc.authenticate(&started.ok, &self.placed_order()?.matching_id).request()?;
        self.authenticate(started, &request).await
    }

    /// Runs AuthenticateClient and verifies the response.
    ///
    /// # Errors
    /// Fails if the response violates the standard.
    pub async fn authenticate(
        &self,
        started: Started,
        request: &AuthenticateClientRequest,
    ) -> Result<Offered, Stop> {
        let ok = self.call::<AuthenticateClient>(request).await?.done().during("AuthenticateClient")?;
        self.check_offer(started, request, ok).during("the response to AuthenticateClient")
    }

    fn check_offer(
        &self,
        started: Started,
        request: &AuthenticateClientRequest,
        ok: AuthenticateClientOk,
    ) -> Result<Offered, Stop> {
        equal("transactionId", &ok.transaction_id, &started.ok.transaction_id)?;
        equal("smdpSigned2.transactionId", &ok.smdp_signed2.transaction_id, &started.ok.transaction_id)?;
        let pb = self.certificate(&ok.smdp_certificate, Role::DpPb)?;
        same_operator(&started.auth, &pb).map_err(|e| Stop::failed(format!("CERT.DPpb: {e}")))?;
        let AuthenticateServerResponse::AuthenticateResponseOk(response) =
            &request.authenticate_server_response
        else {
            return Err(Stop::failed("the server accepted an error response of the eUICC"));
        };
        let signed = [ok.smdp_signed2.bytes(), &tlv_bytes(SIGNATURE, &response.euicc_signature1)].concat();
        verify("smdpSignature2", &pb, &signed, &ok.smdp_signature2)?;
        let placed_order = self.placed_order()?;
        equal(
            "smdpSigned2.ccRequiredFlag",
            &ok.smdp_signed2.cc_required_flag,
            &placed_order.confirmation_code.is_some(),
        )?;
        if let Some(iccid) = placed_order.iccid {
            equal("profileMetadata.iccid", &ok.profile_metadata.iccid, &iccid)?;
        }
        Ok(Offered { ok, auth: started.auth, pb })
    }

    /// Builds the GetBoundProfilePackage request, with the confirmation code if there is one.
    ///
    /// # Errors
    /// Fails if no order was placed for this case.
    pub fn prepare(&self, offered: &Offered, one_time: &SecretKey) -> Result<Prepare, Stop> {
        Ok(self.euicc.prepare(&offered.ok, one_time).code(self.placed_order()?.confirmation_code))
    }

    /// Runs GetBoundProfilePackage, decrypts the package and checks its contents.
    ///
    /// # Errors
    /// Fails if the response violates the standard.
    pub async fn bound(&self, offered: &Offered, one_time: &SecretKey) -> Result<Bound, Stop> {
        let request = self.prepare(offered, one_time)?.request();
        self.bound_with(offered, &request, one_time).await
    }

    async fn bound_with(
        &self,
        offered: &Offered,
        request: &GetBoundProfilePackageRequest,
        one_time: &SecretKey,
    ) -> Result<Bound, Stop> {
        let answer = self.call::<GetBoundProfilePackage>(request).await?;
        let ok = answer.done().during("GetBoundProfilePackage")?;
        self.check_package(offered, &ok, one_time).during("the response to GetBoundProfilePackage")
    }

    fn check_package(
        &self,
        offered: &Offered,
        ok: &GetBoundProfilePackageOk,
        one_time: &SecretKey,
    ) -> Result<Bound, Stop> {
        let octets = ok.bound_profile_package.0.clone();
        let key = offered.pb.certificate.public_key();
        let (opened, findings) = finding::collect(|| bpp::open(&octets, self.euicc.eid, key, one_time));
        self.accept(findings);
        let opened = opened?;
        if opened.longest_segment > MAX_TLV {
            let detail = format!("the longest has {} octets", opened.longest_segment);
            self.accept([Finding::new(FindingKind::LongSegment, detail)]);
        }
        equal("transactionId", &ok.transaction_id, &offered.ok.transaction_id)?;
        equal(
            "transactionId of InitialiseSecureChannel",
            &opened.channel.transaction_id,
            &offered.ok.transaction_id,
        )?;
        equal("the metadata of StoreMetadata", &opened.metadata, &offered.ok.profile_metadata)?;
        if let Some(data) = &opened.configure.dp_proprietary_data {
            equal("dpOid of ConfigureISDP", &data.dp_oid, &offered.auth.oid)?;
        }
        if let Some(package) = &self.placed_order()?.package {
            ensure(opened.package == *package, || {
                "the profile package differs from the one in stock".to_owned()
            })?;
        }
        Ok(Bound {
            transaction_id: ok.transaction_id.clone(),
            octets,
            opened,
            smdp_oid: offered.auth.oid.clone(),
        })
    }

    /// Runs a download until the package has been received, with a new one-time key.
    ///
    /// # Errors
    /// Fails if a response violates the standard.
    pub async fn download(&self) -> Result<Bound, Stop> {
        let offered = self.offered().await?;
        self.bound(&offered, &self.euicc.one_time_key()).await
    }

    /// Runs CancelSession.
    ///
    /// # Errors
    /// Fails if the server refuses.
    pub async fn cancel(&self, cancel: &Cancel) -> Verdict {
        self.call::<CancelSession>(&cancel.request()).await?.done().during("CancelSession").map(|_| ())
    }

    /// Delivers a notification. The response must be an empty HTTP 204; another 2xx response is a
    /// finding.
    ///
    /// # Errors
    /// Fails if the server does not accept the notification.
    pub async fn notify(&self, notification: PendingNotification) -> Verdict {
        self.notify_octets(&notification.to_der()).await
    }

    /// Delivers the encoding of a notification, which may be invalid, like [`Testbed::notify`].
    ///
    /// # Errors
    /// Fails if the server does not accept the notification.
    pub async fn notify_octets(&self, notification: &[u8]) -> Verdict {
        let request = self.binding.notification(self.server.version, notification);
        let response = self.send(request).await?;
        let (answer, findings) = finding::collect(|| json::acknowledgement(&response));
        self.accept(findings);
        match answer {
            Ok(json::Answer::Done(())) => Ok(()),
            Ok(json::Answer::Refused(why)) => {
                Err(Stop::failed(format!("refused with {why}, expected HTTP 204")))
            }
            Err(error) => Err(Stop::failed(format!("{error}, expected HTTP 204"))),
        }
    }

    /// Builds a successful installation result for a delivered package.
    pub fn installed(&self, bound: &Bound) -> PendingNotification {
        self.euicc.signed_result(self.euicc.installed(
            &bound.transaction_id,
            &bound.smdp_oid,
            &self.server.address,
            bound.opened.metadata.iccid,
        ))
    }

    fn certificate(&self, der: &CertificateDer, role: Role) -> Result<Verified<ServerCertificate>, Stop> {
        let bad = |why: String| Stop::failed(format!("the certificate for {role}: {why}"));
        let certificate = Certificate::from_der(der.0.clone()).map_err(|e| bad(e.to_string()))?;
        check_server(&self.server.anchors()?, &certificate, &[], role, self.server.world.now())
            .map_err(|e| bad(e.to_string()))
    }
}

fn verify(name: &str, by: &ServerCertificate, signed: &[u8], signature: &[u8]) -> Verdict {
    Signature::from_slice(signature)
        .and_then(|signature| by.certificate.public_key().verify(signed, &signature))
        .map_err(|e| Stop::failed(format!("{name}: {e}")))
}

//! The SM-DP server: the stock of an SM-DP+ with SOAP interfaces on both sides.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use rsp::{
    ids::{Eid, Iccid, Oid},
    sgp02::{common::SubscriptionAddress, es2, es3},
    time::Timestamp,
};
use rsp_server::{
    due::Due,
    soap::{Call, Ended, Party, Peer, Peers, Reply, Sender, Soap},
};
use world::{BoxFuture, Events, Fault, Link, LinkFault, Records, Tx, World, link_from};

use super::{
    config::Config,
    connectivity::{self, ConnectivityUpdate},
    context::Context,
    credentials::Credentials,
    download,
    records::{
        DOWNLOADS, Download, ISD_PS, IsdP, OPERATORS, Procedure, REMNANTS, Relayed, Remnant, SM_SRS,
        isd_p_key,
    },
    relay,
};
use crate::{es2 as operator, es3 as sm_sr, records::SUBSCRIPTION_ADDRESSES};

/// An SM-DP. Clones share one server. Several servers can also share the same records, including
/// those of an SM-DP+, so that both use the same stock.
#[derive(Clone)]
pub struct SmDp {
    soap: Soap,
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    credentials: Credentials,
    records: Arc<dyn Records>,
    world: World,
    sender: Sender,
}

impl Inner {
    fn context<'a, 'r>(&'a self, tx: &'a mut Tx<'r>, now: Timestamp) -> Context<'a, 'r> {
        Context {
            tx,
            config: &self.config,
            credentials: &self.credentials,
            world: &self.world,
            sender: &self.sender,
            now,
        }
    }
}

impl SmDp {
    /// Creates a server that keeps its state in `records`.
    pub fn new(
        config: Config,
        credentials: Credentials,
        records: Arc<dyn Records>,
        world: World,
        events: Arc<dyn Events>,
    ) -> Self {
        let sender = Sender {
            own: config.id.clone(),
            name: Some(config.name.clone()),
            address: config.address.clone(),
            world: world.clone(),
            reply_addresses: config.reply_addresses.clone(),
        };
        let inner = Arc::new(Inner {
            config,
            credentials,
            records: Arc::clone(&records),
            world,
            sender: sender.clone(),
        });
        let soap = Soap::new(sender, records, events, Arc::clone(&inner) as Arc<dyn Party>, "SM-DP");
        Self { soap, inner }
    }

    /// Sets the outgoing connections. Further calls have no effect.
    #[must_use]
    pub fn with_peers(self, peers: Arc<dyn Peers>) -> Self {
        Self { soap: self.soap.with_peers(peers), inner: self.inner }
    }

    /// Adds or replaces the address of an SM-SR in the records.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn register_sm_sr(&self, peer: &Peer) -> Result<(), Fault> {
        self.save(move |tx| tx.put(&SM_SRS, &peer.id.to_string(), peer)).await
    }

    /// Adds or replaces the address at which an operator receives callbacks and notifications.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn register_operator(&self, peer: &Peer) -> Result<(), Fault> {
        self.save(move |tx| tx.put(&OPERATORS, &peer.id.to_string(), peer)).await
    }

    /// Sets the subscription address that a device has under a profile in stock.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn set_subscription_address(
        &self,
        iccid: Iccid,
        address: &SubscriptionAddress,
    ) -> Result<(), Fault> {
        self.save(move |tx| tx.put(&SUBSCRIPTION_ADDRESSES, &iccid.to_string(), address)).await
    }

    /// Returns the downloads in progress.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn downloads(&self) -> Result<Vec<Download>, Fault> {
        let all = Tx::begin(&*self.inner.records).list(&DOWNLOADS, "").await?;
        Ok(all.into_iter().map(|(_, download)| download).collect())
    }

    /// Returns the profiles on an eUICC that were downloaded through this server, as far as it
    /// knows.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn isd_ps(&self, eid: Eid) -> Result<Vec<IsdP>, Fault> {
        let all = Tx::begin(&*self.inner.records).list(&ISD_PS, &format!("{eid}/")).await?;
        Ok(all.into_iter().map(|(_, isd_p)| isd_p).collect())
    }

    /// Returns the profiles that a failed download may have left on an eUICC. Their operators have
    /// to delete them.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn remnants(&self, eid: Eid) -> Result<Vec<(Iccid, Remnant)>, Fault> {
        let all = Tx::begin(&*self.inner.records).list(&REMNANTS, &format!("{eid}/")).await?;
        let named = |(key, remnant): (String, Remnant)| Some((key.split_once('/')?.1.parse().ok()?, remnant));
        Ok(all.into_iter().filter_map(named).collect())
    }

    /// Starts ES8.UpdateConnectivityParameters, which replaces the connectivity parameters of a
    /// profile with these blocks (A0, A1, A2) over a secure channel with its ISD-P.
    /// [`connectivity_update`](Self::connectivity_update) returns the result.
    ///
    /// # Errors
    /// Fails if the profile does not exist, another update of it is in progress, the parameters are
    /// too long, or the records fail.
    pub async fn update_connectivity_parameters(
        &self,
        eid: Eid,
        iccid: Iccid,
        parameters: Vec<u8>,
    ) -> Result<(), Fault> {
        let inner = &*self.inner;
        let now = inner.world.now();
        world::transact(&*inner.records, |tx| {
            let parameters = parameters.clone();
            Box::pin(async move {
                connectivity::begin(&mut inner.context(tx, now), (eid, iccid), parameters).await
            })
        })
        .await?;
        self.soap.wake();
        Ok(())
    }

    /// Returns the state of the last update of a profile's connectivity parameters, if there was
    /// one.
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn connectivity_update(
        &self,
        eid: Eid,
        iccid: Iccid,
    ) -> Result<Option<ConnectivityUpdate>, Fault> {
        let update =
            Tx::begin(&*self.inner.records).get(&connectivity::UPDATES, &isd_p_key(eid, iccid)).await?;
        Ok(update.map(|update| update.at(self.inner.world.now())))
    }

    /// Returns the tasks that are due, one for each peer with waiting messages. See [`Soap::due`].
    ///
    /// # Errors
    /// Fails if the records fail.
    pub async fn due(&self) -> Result<Due, Fault> {
        self.soap.due().await
    }

    /// Returns a link to the server.
    pub fn link(&self) -> Link {
        let server = self.clone();
        link_from(tower::service_fn(move |request| {
            let server = server.clone();
            async move { Ok::<_, LinkFault>(server.handle(request).await) }
        }))
    }

    /// Handles one HTTP request.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let call = match self.soap.open(&request) {
            Ok(call) => call,
            Err(response) => return *response,
        };
        match self.relayed(&call).await {
            Some(reply) => self.soap.respond(&call, reply),
            None => self.soap.execute(call).await,
        }
    }

    /// Executes a function that the SM-SR answers while the operator waits. Nothing is stored, so
    /// an operator that got no response calls again.
    async fn relayed(&self, call: &Call) -> Option<Result<Reply, Fault>> {
        macro_rules! relayed {
            ($($function:ident => $execute:ident,)+) => {
                $( if call.is_call_of::<es2::$function>() {
                    return Some(match call.message() {
                        Ok(request) => {
                            let mut tx = Tx::begin(&*self.inner.records);
                            let mut context = self.inner.context(&mut tx, call.received);
                            let decision = operator::relayed::$execute(&mut context, &self.soap, call, request).await;
                            call.reply::<es2::$function>(decision.map(Into::into))
                        }
                        Err(fault) => Ok(Reply::fault(fault)),
                    });
                } )+
            };
        }
        relayed! {
            GetEis => get_eis,
            UpdatePolicyRules => update_policy_rules,
            UpdateSubscriptionAddress => update_subscription_address,
        }
        None
    }

    async fn save(&self, put: impl Fn(&mut Tx<'_>) -> Result<(), Fault> + Send + Sync) -> Result<(), Fault> {
        world::transact(&*self.inner.records, |tx| {
            let put = put(tx);
            Box::pin(async { put })
        })
        .await
    }
}

impl Party for Inner {
    fn peer<'a>(&'a self, tx: &'a mut Tx<'_>, id: &'a Oid) -> BoxFuture<'a, Result<Option<Peer>, Fault>> {
        Box::pin(async move {
            let key = id.to_string();
            match tx.get(&SM_SRS, &key).await? {
                Some(peer) => Ok(Some(peer)),
                None => tx.get(&OPERATORS, &key).await,
            }
        })
    }

    fn decide<'a>(&'a self, tx: &'a mut Tx<'_>, call: &'a Call) -> BoxFuture<'a, Result<Reply, Fault>> {
        Box::pin(async move {
            let context = &mut self.context(tx, call.received);
            macro_rules! relay {
                ($request:ident, $function:expr) => {
                    operator::forward(context, call, ($request.eid, $request.smsr_id), $function).await
                };
            }
            rsp_server::soap_dispatch!(call, {
                es2::DownloadProfile => |it| operator::download_profile(context, call, it).await,
                es2::EnableProfile => |it| relay!(it, Relayed::Enable(it.iccid)),
                es2::DisableProfile => |it| relay!(it, Relayed::Disable(it.iccid)),
                es2::DeleteProfile => |it| relay!(it, Relayed::Delete(it.iccid)),
                es2::SetFallBackAttribute => |it| relay!(it, Relayed::SetFallBack(it.iccid)),
                es2::SetEmergencyProfileAttribute => |it| relay!(it, Relayed::SetEmergency(it.iccid)),
                es2::AuditEis => |it| relay!(it, Relayed::Audit(it.iccid)),
            }, {
                es3::HandleProfileEnabledNotification => |it| sm_sr::profile_enabled(context, call, it).await,
                es3::HandleProfileDisabledNotification => |it| sm_sr::profile_disabled(context, call, it).await,
                es3::HandleProfileDeletedNotification => |it| sm_sr::profile_deleted(context, call, it).await,
                es3::HandleProfileDownloadedNotification => |it|
                    sm_sr::profile_downloaded(context, call, it).await,
                es3::HandleFallBackAttributeSetNotification => |it| sm_sr::fall_back_set(context, call, it).await,
                es3::HandleFallBackAttributeUnsetNotification => |it|
                    sm_sr::fall_back_unset(context, call, it).await,
                es3::HandleEmergencyProfileAttributeSetNotification => |it|
                    sm_sr::emergency_set(context, call, it).await,
                es3::HandleEmergencyProfileAttributeUnsetNotification => |it|
                    sm_sr::emergency_unset(context, call, it).await,
                es3::HandleProfilePol2UpdatedNotification => |it| sm_sr::pol2_updated(context, call, it).await,
                es3::HandleSmsrChangeNotification => |it| sm_sr::sm_sr_change(context, call, it).await,
            })
        })
    }

    fn resumed<'a>(
        &'a self,
        tx: &'a mut Tx<'_>,
        now: Timestamp,
        ended: &'a Ended,
    ) -> BoxFuture<'a, Result<(), Fault>> {
        Box::pin(async move {
            let context = &mut self.context(tx, now);
            match ended.continuation.parse() {
                Ok(Procedure::Download(id, step)) => download::resume(context, &id, step, ended).await,
                Ok(Procedure::Relay(id)) => relay::resume(context, &id, ended).await,
                Ok(Procedure::Audit(eid, iccid)) => relay::finish_audit(context, (eid, iccid), ended).await,
                Ok(Procedure::Connectivity(eid, iccid, id)) => {
                    connectivity::resume(context, (eid, iccid), &id, ended).await
                }
                Err(_) => {
                    tracing::warn!(continuation = %ended.continuation, "received a response to a request of another software version");
                    Ok(())
                }
            }
        })
    }
}

//! The API for the subscribers of the home networks: HTTP and JSON. It is an [`rsp_server::api`].
//!
//! It has no password and accepts keys, so it is meant for the host of the networks or for a test
//! network. Replies never contain keys. [`api::check_origin`] refuses requests from web pages.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rsp::ids::{Imsi, Plmn};
use rsp_server::api::{self, Api, Arguments, Listing, NoId, NoQuery, Page, Problem, Route, document};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use world::{Fault, PhoneNumber};

use super::causes::EmmCause;
use super::networks::{Network, Networks};
use super::subscriber_server::{Keys, Subscriber, SubscriberServer};

/// The path of all subscribers.
pub const SUBSCRIBERS: &str = "/v1/subscribers";

/// Maximum number of subscribers of all home networks together. If there are as many, the API adds
/// no further ones.
pub const MAX_SUBSCRIBERS: usize = 100_000;

/// A subscriber to add or replace.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSubscriber {
    /// The home network. Default: the known network with whose code the IMSI begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<Plmn>,
    /// Algorithm and keys, identical to those on the card.
    pub keys: Keys,
    /// The EMM cause with which the subscriber is refused everywhere, if barred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<u8>")]
    pub barred: Option<EmmCause>,
    /// True if the subscriber can roam. Default: true.
    #[serde(default = "yes")]
    pub may_roam: bool,
    /// The telephone number. Default: the number of the subscriber that is replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub msisdn: Option<PhoneNumber>,
}

impl NewSubscriber {
    /// Creates a subscriber with these keys who can roam and is not barred.
    pub fn of(keys: Keys) -> Self {
        Self { home: None, keys, barred: None, may_roam: true, msisdn: None }
    }
}

/// A subscriber in a reply, without its keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedSubscriber {
    /// The IMSI.
    pub imsi: Imsi,
    /// The home network.
    pub home: Plmn,
    /// The authentication algorithm: `milenage`, `tuak` or `usim_test`.
    pub algorithm: String,
    /// The EMM cause with which the subscriber is refused everywhere, if barred.
    #[schemars(with = "Option<u8>")]
    pub barred: Option<EmmCause>,
    /// True if the subscriber can roam.
    pub may_roam: bool,
    /// The telephone number.
    #[schemars(with = "Option<String>")]
    pub msisdn: Option<PhoneNumber>,
    /// The network to which the subscriber is attached.
    pub attached: Option<Plmn>,
}

/// A network in a reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListedNetwork {
    /// The identity of the network.
    pub plmn: Plmn,
    /// The name of the network.
    pub name: String,
    /// The ISO 3166-1 alpha-2 country code.
    pub country: String,
    /// True if the network has coverage.
    pub coverage: bool,
}

/// Selects subscribers. A field that is absent selects all.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SubscriberFilter {
    /// The home network.
    home: Option<Plmn>,
}

/// Opens the subscriber server of a home network that has none, and adds it to the networks.
type OpenHome = dyn Fn(Plmn) -> Result<Arc<SubscriberServer>, Fault> + Send + Sync;

/// The subscribers of all home networks.
#[derive(Clone)]
pub struct Subscribers {
    networks: Arc<Networks>,
    open_home: Arc<OpenHome>,
    /// Held while a home network is opened, so that parallel requests open it only once.
    opening: Arc<Mutex<()>>,
}

impl Subscribers {
    /// Gives access to the subscribers of these networks. `open_home` opens the subscriber server of
    /// a home network that has none, and adds both to the networks.
    pub fn new(
        networks: Arc<Networks>,
        open_home: impl Fn(Plmn) -> Result<Arc<SubscriberServer>, Fault> + Send + Sync + 'static,
    ) -> Self {
        Self { networks, open_home: Arc::new(open_home), opening: Arc::default() }
    }

    /// Gives access to the subscribers of the existing home networks.
    pub fn of_known_homes(networks: Arc<Networks>) -> Self {
        Self::new(networks, |home| {
            Err(Fault::usage(
                "cannot add the subscriber",
                format!("{home} has no subscriber server here"),
                "add a subscriber of another network",
            ))
        })
    }

    /// Adds a subscriber to its home network, or replaces one. The subscriber server of the home
    /// network is opened if necessary.
    ///
    /// # Errors
    /// The subscriber server cannot be opened, or the change cannot be stored.
    pub fn provision(&self, imsi: Imsi, home: Plmn, subscriber: Subscriber) -> Result<(), Fault> {
        self.home(imsi, home)?.provision(imsi, subscriber)
    }

    fn home(&self, imsi: Imsi, home: Plmn) -> Result<Arc<SubscriberServer>, Fault> {
        let _opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        match self.networks.home_of(imsi) {
            Some(server) => Ok(server),
            None => (self.open_home)(home),
        }
    }

    /// Answers a request to the API. The host of the request must be an IP address, `localhost`, or
    /// a name for which `is_own_name` returns true.
    pub(super) async fn answer(
        &self,
        request: &Request<Bytes>,
        is_own_name: impl Fn(&str) -> bool,
    ) -> Response<Bytes> {
        let called = async {
            api::check_origin::<SubscriberApi>(request, is_own_name)?;
            let (route, id) = api::find::<SubscriberApi>(request)?;
            route.call(&id, request)?.execute(&mut self.clone()).await
        };
        called.await.unwrap_or_else(|problem: Problem| problem.response())
    }

    fn list(&self, listing: &Listing<SubscriberFilter>) -> Page<ListedSubscriber> {
        let after = listing.after.as_deref();
        let mut all: Vec<(String, Arc<SubscriberServer>, Imsi)> = Vec::new();
        for home in self.networks.homes() {
            if listing.filter.home.is_none_or(|wanted| wanted == home.plmn()) {
                let keys = home.imsis().into_iter().map(|imsi| (imsi.to_string(), Arc::clone(&home), imsi));
                all.extend(keys.filter(|(key, ..)| after.is_none_or(|after| key.as_str() > after)));
            }
        }
        all.sort_by(|(one, ..), (other, ..)| one.cmp(other));
        // A subscriber that was removed in the meantime is left out.
        let found = all.into_iter().filter_map(|(key, home, imsi)| Some((key, self.describe(&home, imsi)?)));
        listing.of_sorted(found)
    }

    fn describe(&self, home: &SubscriberServer, imsi: Imsi) -> Option<ListedSubscriber> {
        let Subscriber { keys, last_seq: _, barred, may_roam, msisdn } = home.subscriber(imsi)?;
        let (home, attached) = (home.plmn(), self.networks.place_of(imsi));
        let algorithm = keys.algorithm_name().to_owned();
        Some(ListedSubscriber { imsi, home, algorithm, barred, may_roam, msisdn, attached })
    }

    fn find(&self, imsi: Imsi) -> Result<ListedSubscriber, Problem> {
        let home = self.networks.home_of(imsi);
        home.and_then(|home| self.describe(&home, imsi)).ok_or_else(|| no_such_subscriber(imsi))
    }

    fn put(&self, imsi: Imsi, new: &NewSubscriber) -> Result<ListedSubscriber, Problem> {
        let what = || format!("cannot add subscriber {imsi}");
        let NewSubscriber { home, keys, barred, may_roam, msisdn } = new.clone();
        if !keys.are_valid() {
            let next = "give a K of 16 octets (TUAK: 16 or 32), a RES length of 4, 8 or 16 octets";
            return Err(Problem::bad_request(what(), "its algorithm does not support these keys", next));
        }
        let home =
            self.home_network(imsi, home).map_err(|(why, next)| Problem::bad_request(what(), why, next))?;
        let is_full =
            || self.networks.homes().iter().map(|home| home.imsis().len()).sum::<usize>() >= MAX_SUBSCRIBERS;
        if self.find(imsi).is_err() && is_full() {
            let why = format!("there are {MAX_SUBSCRIBERS} subscribers already");
            return Err(Problem::conflict(what(), why, "remove subscribers that are not used"));
        }
        let subscriber = Subscriber { keys, last_seq: 0, barred, may_roam, msisdn };
        self.provision(imsi, home, subscriber)?;
        self.find(imsi)
    }

    /// Returns the home network of an IMSI: `given`, or the known network with whose code it begins.
    fn home_network(&self, imsi: Imsi, given: Option<Plmn>) -> Result<Plmn, (String, &'static str)> {
        let known = self.networks.home_of(imsi).map(|home| home.plmn());
        match (given, known) {
            (Some(home), _) if !imsi.is_of(home) => Err((
                format!("the IMSI does not begin with the code of {home}"),
                "correct the IMSI or the home network",
            )),
            (Some(home), Some(known)) if home != known => {
                let next = "leave the home network out, or use an IMSI that is not ambiguous";
                Err((format!("the IMSI is one of {known}, which has a subscriber server here"), next))
            }
            (Some(home), _) | (None, Some(home)) => Ok(home),
            (None, None) => {
                let networks = self.networks.all();
                let known = |home: &Plmn| networks.iter().any(|network| network.plmn == *home);
                let home = [3, 2].into_iter().filter_map(|digits| imsi.plmn(digits)).find(known);
                let next = "give the home network, such as 724-99 or 310-410: the IMSI does not show the length of its code";
                home.ok_or_else(|| ("no network here has its code".to_owned(), next))
            }
        }
    }

    fn remove(&self, imsi: Imsi) -> Result<(), Problem> {
        let home = self.networks.home_of(imsi).ok_or_else(|| no_such_subscriber(imsi))?;
        if !home.remove(imsi)? {
            return Err(no_such_subscriber(imsi));
        }
        self.networks.cancel_location(imsi);
        Ok(())
    }

    fn networks(&self, listing: &Listing<NoQuery>) -> Page<ListedNetwork> {
        let listed = |network: Network| {
            let Network { plmn, name, country, coverage, policy: _ } = network;
            (plmn.to_string(), ListedNetwork { plmn, name, country, coverage })
        };
        let mut all: Vec<_> = self.networks.all().into_iter().map(listed).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        listing.of_sorted(all)
    }
}

fn no_such_subscriber(imsi: Imsi) -> Problem {
    let next = "`landfall network list` lists the subscribers; `landfall network add` adds one";
    Problem::not_found(format!("there is no subscriber {imsi}"), "no home network here has this IMSI", next)
}

/// The API.
struct SubscriberApi;

/// A function of the API, with the types of its arguments and of its reply.
type Function<Q, R> = api::Function<SubscriberApi, Q, R>;

const NO_SUCH_SUBSCRIBER: (StatusCode, &str) = (StatusCode::NOT_FOUND, "No home network has this IMSI");

impl Api for SubscriberApi {
    type Context<'c, 'r>
        = Subscribers
    where
        'r: 'c;

    const TITLE: &'static str = "Landfall networks";
    const DESCRIPTION: &'static str = "API of the simulated mobile networks for their subscribers. It has \
         no authentication and accepts keys: bind it to the loopback address or to a test network only. \
         Replies contain no keys.";
    const SERVER: &'static str = "http://127.0.0.1:8480";
    const ROUTES: &'static [&'static dyn Route<Self>] = &[
        &document(),
        &Function::<Arguments<NoId, Listing<NoQuery>>, _>::list(
            "/v1/networks",
            "Lists the networks in the order of their codes",
            |input| Box::pin(async { Ok(input.context.networks(&input.arguments.query)) }),
        ),
        &Function::<Arguments<NoId, Listing<SubscriberFilter>>, _>::list(
            SUBSCRIBERS,
            "Lists the subscribers in the order of their IMSIs",
            |input| Box::pin(async { Ok(input.context.list(&input.arguments.query)) }),
        ),
        &Function::<Arguments<Imsi>, _>::get("/v1/subscribers/{imsi}", "Returns a subscriber", |input| {
            Box::pin(async { input.context.find(input.arguments.id) })
        })
        .problems(&[NO_SUCH_SUBSCRIBER]),
        &Function::<Arguments<Imsi, NoQuery, NewSubscriber>, _>::put(
            "/v1/subscribers/{imsi}",
            "Adds or replaces a subscriber; the sequence number of a subscriber that is replaced is kept",
            |input| Box::pin(async { input.context.put(input.arguments.id, &input.arguments.body) }),
        )
        .problems(&[
            (StatusCode::BAD_REQUEST, "The home network is unknown, or the keys do not fit the algorithm"),
            (StatusCode::CONFLICT, "There are too many subscribers"),
        ]),
        &Function::<Arguments<Imsi>, ()>::delete(
            "/v1/subscribers/{imsi}",
            "Removes a subscriber, and detaches the device",
            |input| Box::pin(async { input.context.remove(input.arguments.id) }),
        )
        .problems(&[NO_SUCH_SUBSCRIBER]),
    ];
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests;

//! Orders of a load test at this program's SM-DP+: filling the stock, ordering by type over ES2+,
//! and checking the orders afterwards.

use std::{collections::BTreeMap, sync::Arc};

use rsp::{activation_code::ActivationCode, ids::Iccid, sgp22::es2plus::ConfirmOrder};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::{sync::Semaphore, task::JoinSet};
use world::{Fault, Link, NullEvents, World};

use super::{Ending, Figures, RetryPolicy, link::measured};
use testbed::operator::Operator;

use crate::{
    admin::{Admin, Profile},
    progress::Progress,
};

/// Profile type of the load test.
const PROFILE_TYPE: &str = "landfall-load";
/// Home network of the profiles: the test network of ITU-T E.212.
const HOME: &str = "001-01";
/// Maximum concurrent requests while orders are prepared; enough for several of them to share a
/// disk write.
const AT_ONCE: usize = 32;

/// Access to the SM-DP+ of a load test: admin API and ES2+.
pub struct OrderClient {
    /// Client of the admin API.
    pub admin: Admin,
    /// ES2+ connection with the operator's certificate.
    pub es2plus: Link,
    /// OID of the operator.
    pub requester: String,
    /// Clock and random source.
    pub world: World,
    /// Retry policy for an unreachable server.
    pub retry_policy: RetryPolicy,
    /// Collection of the measured latencies.
    pub figures: Figures,
    /// True if the progress is printed as JSON.
    pub json: bool,
}

/// An order that the SM-DP+ confirmed.
#[derive(Clone, Debug)]
pub struct Order {
    /// ICCID of the profile.
    pub iccid: Iccid,
    /// Activation code of the profile.
    pub code: ActivationCode,
}

/// Result of comparing orders and cards.
#[derive(Clone, Debug, Default, PartialEq, Eq, JsonSchema, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Number of orders in the expected state.
    pub right: usize,
    /// Descriptions of the other orders.
    pub wrong: Vec<String>,
}

impl OrderClient {
    /// Orders `number` profiles. Missing profiles are added to the stock first. `code` creates
    /// an activation code from a MatchingID and the address in the SM-DP+'s response, if there
    /// is one.
    ///
    /// # Errors
    /// The SM-DP+ refuses an order, or was unreachable for too long.
    pub async fn order(
        &self,
        number: usize,
        code: impl Fn(&str, Option<&str>) -> Result<ActivationCode, Fault>,
    ) -> Result<Vec<Order>, Fault> {
        self.fill_stock(number).await?;
        let es2plus = self.retry_policy.wrap(measured(self.es2plus.clone(), "ES2+", &self.figures));
        let progress = Arc::new(Progress::new("orders", number, self.json));
        let placed = at_once(number, |_| {
            let operator = Operator::new(
                es2plus.clone(),
                self.requester.clone(),
                self.world.clone(),
                Arc::new(NullEvents),
            );
            let progress = Arc::clone(&progress);
            async move {
                let placed = place(operator).await;
                progress.step(placed.is_ok());
                placed
            }
        })
        .await?;
        placed
            .into_iter()
            .map(|(iccid, matching_id, address)| {
                Ok(Order { iccid, code: code(&matching_id, address.as_deref())? })
            })
            .collect()
    }

    async fn fill_stock(&self, number: usize) -> Result<(), Fault> {
        let stock = self.admin.stock().await?;
        let loaded = stock.iter().filter(|profile| profile.profile_type == PROFILE_TYPE);
        let available = loaded.filter(|profile| profile.state == "Available").count();
        let missing = number.saturating_sub(available);
        let first = first_free(&stock)?;
        let progress = Arc::new(Progress::new("stock", missing, self.json));
        at_once(missing, |offset| {
            let (admin, progress) = (self.admin.clone(), Arc::clone(&progress));
            async move {
                let number = first.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX));
                let package = testbed::subscription::own_package(HOME, number, "Landfall Load")?;
                let added = admin.add(&package, PROFILE_TYPE).await;
                progress.step(added.is_ok());
                added
            }
        })
        .await?;
        Ok(())
    }

    /// Compares the state of each order at the SM-DP+ with the contents of each card.
    ///
    /// # Errors
    /// The admin API is unreachable.
    pub async fn check(&self, orders: &[Order], endings: &[Ending]) -> Result<Verdict, Fault> {
        Ok(judge(&self.admin.stock().await?, orders, endings))
    }
}

/// Returns the first number from which no ICCID of the generated series is in use, for any profile
/// type.
fn first_free(stock: &[Profile]) -> Result<u64, Fault> {
    let numbers =
        stock.iter().filter_map(|profile| testbed::subscription::own_number(HOME, profile.iccid).transpose());
    let highest = numbers.collect::<Result<Vec<_>, _>>()?.into_iter().max().unwrap_or(0);
    Ok(highest.saturating_add(1))
}

/// Checks the orders. A correct order is installed on the card that used its activation code, on no
/// other card, and that card has no other profile.
fn judge(stock: &[Profile], orders: &[Order], endings: &[Ending]) -> Verdict {
    let stock: BTreeMap<Iccid, &Profile> = stock.iter().map(|profile| (profile.iccid, profile)).collect();
    let mut verdict = Verdict::default();
    for (order, ending) in orders.iter().zip(endings) {
        let (iccid, eid) = (order.iccid, ending.eid);
        let cards: Vec<_> = endings.iter().filter(|ending| ending.on_card.contains(&iccid)).collect();
        let wrong = match stock.get(&iccid) {
            None => Some("confirmed, but unknown to the SM-DP+".to_owned()),
            Some(profile) if profile.state != "Installed" => {
                Some(format!("its state at the SM-DP+ is {}", profile.state))
            }
            Some(profile) if profile.installed_on != [eid] => {
                Some(format!("installed on {:?} according to the SM-DP+", profile.installed_on))
            }
            Some(_) if cards.len() != 1 => Some(format!("installed on {} cards", cards.len())),
            Some(_) if ending.on_card != [iccid] => Some(format!("the card contains {:?}", ending.on_card)),
            Some(_) => None,
        };
        match wrong {
            None => verdict.right += 1,
            Some(wrong) => verdict.wrong.push(format!("order {iccid} for card {eid}: {wrong}")),
        }
    }
    verdict
}

async fn place(operator: Operator) -> Result<(Iccid, String, Option<String>), Fault> {
    let iccid = operator.download_order(None, None, Some(PROFILE_TYPE.to_owned())).await?;
    let confirmed = operator.call::<ConfirmOrder>(&operator.confirmation(iccid)).await?;
    Ok((iccid, confirmed.matching_id, confirmed.smdp_address))
}

/// Runs `work` `number` times, [`AT_ONCE`] calls concurrently. Returns the results in order, or the
/// first fault.
async fn at_once<T, F>(number: usize, work: impl Fn(usize) -> F) -> Result<Vec<T>, Fault>
where
    T: Send + 'static,
    F: Future<Output = Result<T, Fault>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut under_way = JoinSet::new();
    for position in 0..number {
        let (places, work) = (Arc::clone(&places), work(position));
        under_way.spawn(async move {
            let _place = places.acquire_owned().await;
            (position, work.await)
        });
    }
    let done: BTreeMap<usize, Result<T, Fault>> = under_way.join_all().await.into_iter().collect();
    done.into_values().collect()
}

#[cfg(test)]
mod tests {
    use rsp::ids::Eid;

    use super::*;

    fn iccid(number: u64) -> Iccid {
        Iccid::with_luhn(&format!("89001010{number:010}")).unwrap()
    }

    fn eid(number: u64) -> Eid {
        Eid::with_check_digits(&format!("{number:030}")).unwrap()
    }

    /// Two orders in the expected state.
    fn well() -> (Vec<Profile>, Vec<Order>, Vec<Ending>) {
        let profile = |number| Profile {
            iccid: iccid(number),
            profile_type: PROFILE_TYPE.to_owned(),
            state: "Installed".to_owned(),
            installed_on: vec![eid(number)],
        };
        let order = |number| Order { iccid: iccid(number), code: "1$smdp.example.com$X".parse().unwrap() };
        let ending = |number| Ending { eid: eid(number), on_card: vec![iccid(number)], failure: None };
        ([1, 2].map(profile).to_vec(), [1, 2].map(order).to_vec(), [1, 2].map(ending).to_vec())
    }

    #[test]
    fn numbers_continue_after_the_highest_one_in_use() {
        let (mut stock, ..) = well();
        assert_eq!(first_free(&stock).unwrap(), 1, "these ICCIDs belong to another series");
        for (number, kind) in [(7, PROFILE_TYPE), (9, "another type"), (8, PROFILE_TYPE)] {
            let iccid = testbed::subscription::own_iccid(HOME, number).unwrap();
            stock.push(Profile { iccid, profile_type: kind.to_owned(), ..stock[0].clone() });
        }
        assert_eq!(first_free(&stock).unwrap(), 10);
    }

    #[test]
    fn installed_orders_are_correct() {
        let (stock, orders, endings) = well();
        assert_eq!(judge(&stock, &orders, &endings), Verdict { right: 2, wrong: Vec::new() });
    }

    #[test]
    fn every_kind_of_incorrect_order_is_reported() {
        type Spoil = fn(&mut Vec<Profile>, &mut Vec<Ending>);
        let cases: [(Spoil, &str); 6] = [
            (|stock, _| drop(stock.remove(0)), "unknown to the SM-DP+"),
            (|stock, _| stock[0].state = "Released".to_owned(), "is Released"),
            (|stock, _| stock[0].installed_on.clear(), "installed on []"),
            (|_, endings| endings[0].on_card.clear(), "on 0 cards"),
            (|_, endings| endings[1].on_card.push(iccid(1)), "on 2 cards"),
            (|_, endings| endings[0].on_card.push(iccid(3)), "the card contains"),
        ];
        for (spoil, found) in cases {
            let (mut stock, orders, mut endings) = well();
            spoil(&mut stock, &mut endings);
            let verdict = judge(&stock, &orders, &endings);
            assert!(verdict.wrong.iter().any(|wrong| wrong.contains(found)), "{found}: {verdict:?}");
        }
    }
}

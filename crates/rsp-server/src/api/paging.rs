//! Pages of a list: the `limit` and `after` of a request, and the next page in the reply.

use http::{HeaderMap, HeaderValue, Uri, header};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::{Collection, Fault, Tx};

/// Number of elements in a page if the request has no `limit`.
pub const DEFAULT_LIMIT: usize = 100;
/// Maximum number of elements in a page.
pub const MAX_LIMIT: usize = 1000;

/// The query of a list: a filter and a page. `K` is the type of the keys.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listing<F, K = String> {
    /// The elements to list.
    #[serde(flatten)]
    pub filter: F,
    /// Maximum number of elements in the reply, from 1 to 1000. Default: 100.
    #[serde(default)]
    limit: Limit,
    /// The key of the last element before the page. The Link header of a reply has it for the next
    /// page. Default: the list from its beginning.
    pub after: Option<K>,
}

/// The value of `limit`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "usize")]
struct Limit(usize);

impl Default for Limit {
    fn default() -> Self {
        Self(DEFAULT_LIMIT)
    }
}

impl TryFrom<usize> for Limit {
    type Error = String;

    fn try_from(limit: usize) -> Result<Self, String> {
        match limit {
            1..=MAX_LIMIT => Ok(Self(limit)),
            _ => Err(format!("limit is {limit}; it must be from 1 to {MAX_LIMIT}")),
        }
    }
}

impl JsonSchema for Limit {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT })
    }
}

/// A page of a list. In JSON it is the array of its elements.
#[derive(Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Page<T> {
    /// The elements.
    pub elements: Vec<T>,
    /// The key of the last element, if more elements follow.
    #[serde(skip)]
    pub next: Option<String>,
}

/// A reply that is a page of a list.
pub trait Paged {
    /// The value of `after` for the next page, or `None` on the last page.
    fn next(&self) -> Option<String>;
}

impl<T> Paged for Page<T> {
    fn next(&self) -> Option<String> {
        self.next.clone()
    }
}

impl<F, K> Listing<F, K> {
    /// Maximum number of elements in the reply.
    pub fn limit(&self) -> usize {
        self.limit.0
    }
}

impl<F> Listing<F> {
    /// Reads a page of a collection: the records for which `select` returns an element, in the order
    /// of their keys.
    ///
    /// # Errors
    /// The records fail.
    pub async fn page<R: DeserializeOwned, T>(
        &self,
        tx: &Tx<'_>,
        collection: &Collection<R>,
        mut select: impl FnMut(&str, R) -> Option<T>,
    ) -> Result<Page<T>, Fault> {
        let mut selected: Vec<(String, T)> = Vec::new();
        let mut after = self.after.clone();
        // One element more than the limit shows that there is a next page.
        let mut most = self.limit() + 1;
        while selected.len() <= self.limit() {
            let records = tx.peek_page(collection, after.as_deref(), most).await?;
            let is_last = records.len() < most;
            after = records.last().map(|(key, ..)| key.clone());
            selected.extend(records.into_iter().filter_map(|(key, _, record)| {
                let element = select(&key, record)?;
                Some((key, element))
            }));
            if is_last {
                break;
            }
            most = MAX_LIMIT;
        }
        Ok(self.of_sorted(selected))
    }

    /// Returns the page of a list that is complete from `after` to the end of the page. The elements
    /// are in the order of their keys.
    pub fn of_sorted<T>(&self, all: impl IntoIterator<Item = (String, T)>) -> Page<T> {
        let after = self.after.as_deref();
        let mut rest = all.into_iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after));
        let page: Vec<(String, T)> = rest.by_ref().take(self.limit()).collect();
        let next = rest.next().and_then(|_| page.last().map(|(key, _)| key.clone()));
        Page { elements: page.into_iter().map(|(_, element)| element).collect(), next }
    }
}

/// An entry with the number of its last change.
#[derive(Serialize, JsonSchema)]
pub struct Revised<T> {
    /// The number of the change that wrote the entry. A later change has a higher number. Pass it as
    /// `after` to wait for the next change.
    pub revision: u64,
    /// The entry.
    #[serde(flatten)]
    pub entry: T,
}

/// Returns the entry of a collection that changed last, of those that `select` returns.
///
/// # Errors
/// The records fail.
pub async fn latest<R: DeserializeOwned, T>(
    tx: &Tx<'_>,
    collection: &Collection<R>,
    select: impl FnMut(&str, R) -> Option<T>,
) -> Result<Option<Revised<T>>, Fault> {
    best(tx, collection, select, |new, kept| kept.is_none_or(|kept| new > kept)).await
}

/// Returns the entry that changed first after the change with number `after`, of those that `select`
/// returns.
///
/// # Errors
/// The records fail.
pub async fn first_after<R: DeserializeOwned, T>(
    tx: &Tx<'_>,
    collection: &Collection<R>,
    after: u64,
    select: impl FnMut(&str, R) -> Option<T>,
) -> Result<Option<Revised<T>>, Fault> {
    best(tx, collection, select, |new, kept| new > after && kept.is_none_or(|kept| new < kept)).await
}

/// Returns the entry whose revision replaces that of every entry before it.
async fn best<R: DeserializeOwned, T>(
    tx: &Tx<'_>,
    collection: &Collection<R>,
    mut select: impl FnMut(&str, R) -> Option<T>,
    replaces: impl Fn(u64, Option<u64>) -> bool,
) -> Result<Option<Revised<T>>, Fault> {
    let mut best: Option<Revised<T>> = None;
    let mut after: Option<String> = None;
    loop {
        let records = tx.peek_page(collection, after.as_deref(), MAX_LIMIT).await?;
        let is_last = records.len() < MAX_LIMIT;
        after = records.last().map(|(key, ..)| key.clone());
        for (key, version, record) in records {
            if replaces(version.0, best.as_ref().map(|best| best.revision))
                && let Some(entry) = select(&key, record)
            {
                best = Some(Revised { revision: version.0, entry });
            }
        }
        if is_last {
            return Ok(best);
        }
    }
}

/// Builds the Link header (RFC 8288) of a reply to `target` with the next page.
pub(super) fn link_to_next(target: &Uri, next: &str) -> Option<HeaderValue> {
    let query = target.query().unwrap_or_default();
    let mut parameters: Vec<(String, String)> = serde_urlencoded::from_str(query).ok()?;
    parameters.retain(|(name, _)| name != "after");
    parameters.push(("after".to_owned(), next.to_owned()));
    let query = serde_urlencoded::to_string(parameters).ok()?;
    HeaderValue::from_str(&format!("<{}?{query}>; rel=\"next\"", target.path())).ok()
}

/// Returns the path and query of the next page from the headers of a reply, for clients.
pub fn next_page(headers: &HeaderMap) -> Option<&str> {
    let link = headers.get(header::LINK)?.to_str().ok()?;
    link.strip_suffix("; rel=\"next\"")?.strip_prefix('<')?.strip_suffix('>')
}

#[cfg(test)]
mod tests {
    use world::{MemoryRecords, transact};

    use super::*;
    use crate::api::NoQuery;

    const NUMBERS: Collection<u32> = Collection::new("numbers");

    async fn written(numbers: std::ops::Range<u32>) -> MemoryRecords {
        let records = MemoryRecords::default();
        for number in numbers {
            write(&records, number).await;
        }
        records
    }

    async fn write(records: &MemoryRecords, number: u32) {
        let put = |tx: &mut Tx<'_>| tx.put(&NUMBERS, &format!("{number:05}"), &number);
        transact(records, |tx| {
            let written = put(tx);
            Box::pin(async { written })
        })
        .await
        .unwrap();
    }

    async fn page(records: &MemoryRecords, query: &str, step: u32) -> Page<u32> {
        let listing: Listing<NoQuery> = serde_urlencoded::from_str(query).unwrap();
        let select = |_: &str, number: u32| number.is_multiple_of(step).then_some(number);
        listing.page(&Tx::begin(records), &NUMBERS, select).await.unwrap()
    }

    #[tokio::test]
    async fn the_pages_of_a_list_have_all_elements_once() {
        let records = written(0..10).await;
        let mut all = Vec::new();
        let mut query = "limit=4".to_owned();
        let mut sizes = Vec::new();
        loop {
            let page = page(&records, &query, 1).await;
            sizes.push(page.elements.len());
            all.extend(page.elements);
            let Some(next) = page.next else { break };
            query = format!("limit=4&after={next}");
        }
        assert_eq!((all, sizes), ((0..10).collect(), vec![4, 4, 2]));
        assert_eq!(page(&records, "limit=10", 1).await.next, None, "a full last page has no next page");
    }

    #[tokio::test]
    async fn a_filter_does_not_shorten_a_page() {
        let records = written(0..2500).await;
        let first = page(&records, "limit=2", 1000).await;
        assert_eq!((first.elements, first.next.as_deref()), (vec![0, 1000], Some("01000")));
        let last = page(&records, "limit=2&after=01000", 1000).await;
        assert_eq!((last.elements, last.next), (vec![2000], None));
    }

    #[test]
    fn a_limit_outside_its_range_is_refused() {
        for query in ["limit=0", "limit=1001", "limit=x", "size=1"] {
            assert!(serde_urlencoded::from_str::<Listing<NoQuery>>(query).is_err(), "{query}");
        }
        let listing: Listing<NoQuery> = serde_urlencoded::from_str("").unwrap();
        assert_eq!((listing.limit(), listing.after), (DEFAULT_LIMIT, None));
    }

    #[tokio::test]
    async fn the_latest_entry_is_the_one_that_changed_last() {
        let records = written(0..3).await;
        write(&records, 1).await;
        let tx = Tx::begin(&records);
        let any = |_: &str, number: u32| Some(number);
        let found = latest(&tx, &NUMBERS, any).await.unwrap().unwrap();
        assert_eq!((found.entry, found.revision), (1, 4));
        let next = async |after| first_after(&tx, &NUMBERS, after, any).await.unwrap().map(|next| next.entry);
        assert_eq!(
            [next(0).await, next(1).await, next(3).await, next(4).await],
            [Some(0), Some(2), Some(1), None]
        );
    }

    #[tokio::test]
    async fn the_latest_entry_is_found_in_a_collection_of_several_pages() {
        let last = MAX_LIMIT as u32 + 1;
        let records = written(0..last + 1).await;
        let tx = Tx::begin(&records);
        let only = |wanted: u32| move |_: &str, number: u32| (number == wanted).then_some(number);
        for wanted in [0, last] {
            let found = latest(&tx, &NUMBERS, only(wanted)).await.unwrap().unwrap();
            assert_eq!((found.entry, found.revision), (wanted, u64::from(wanted) + 1));
        }
    }

    #[test]
    fn the_link_to_the_next_page_keeps_the_filter() {
        let target: Uri = "/v1/things?after=1&name=a%20b&limit=2".parse().unwrap();
        let headers = HeaderMap::from_iter([(header::LINK, link_to_next(&target, "x/y").unwrap())]);
        assert_eq!(next_page(&headers), Some("/v1/things?name=a+b&limit=2&after=x%2Fy"));
        assert_eq!(next_page(&HeaderMap::new()), None);
    }
}

//! Requests to all nodes while they are disturbed, and what was lost once more afterwards.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    sync::{
        PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{
    NODES,
    book::Book,
    chaos::Addresses,
    support::http::{Connection, get, post},
};

/// Connections to each node.
const CONNECTIONS: usize = 8;

/// How long an answer may take before the connection is given up.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// The sender.
pub(crate) struct Load {
    addresses: Addresses,
    authorization: String,
}

impl Load {
    /// To these nodes, under a token.
    pub(crate) fn new(addresses: Addresses, token: &str) -> Self {
        Self {
            addresses,
            authorization: format!("Authorization: Bearer {token}\r\n"),
        }
    }

    /// Drives all nodes for as long as `disturb` runs, which has a thread of its own.
    pub(crate) fn during(
        &self,
        book: &mut Book,
        disturb: impl FnOnce() -> anyhow::Result<()> + Send,
    ) -> anyhow::Result<()> {
        let shared = RefCell::new(std::mem::take(book));
        let over = AtomicBool::new(false);
        let driven = std::thread::scope(|scope| {
            let disturbing = scope.spawn(|| {
                let disturbed = disturb();
                over.store(true, Ordering::SeqCst);
                disturbed
            });
            let driven = runtime()?.block_on(async {
                let tasks =
                    (0..NODES * CONNECTIONS).map(|number| self.drive(number, &shared, &over));
                futures_util::future::join_all(tasks).await
            });
            disturbing.join().expect("the disturber does not panic")?;
            anyhow::Ok(driven)
        });
        *book = shared.into_inner();
        driven?.into_iter().collect()
    }

    /// Sends what was lost again: it is taken or recognised. All nodes must answer.
    pub(crate) fn repeat(&self, book: &mut Book) -> anyhow::Result<()> {
        runtime()?.block_on(async {
            for (number, txn_id) in book.take_lost().into_iter().enumerate() {
                let answer = self.until_answered(number, &txn_id).await?;
                book.answer(txn_id, answer);
            }
            for number in 0..200 {
                let Some((txn_id, conversion_id)) = book.answered_at(number * 7_919) else {
                    break;
                };
                let answer = self.until_answered(number, txn_id).await?;
                ensure!(
                    answer == *conversion_id,
                    "{txn_id} was answered as {conversion_id}, and sent again as {answer}"
                );
            }
            Ok(())
        })
    }

    async fn until_answered(&self, number: usize, txn_id: &str) -> anyhow::Result<String> {
        for _ in 0..200 {
            let address = self.address(number).context("all nodes run")?;
            if let Ok(mut connection) = Connection::init(address).await
                && let Ok(answer) = connection.ask(&self.request(txn_id)).await
                && answer.status == 200
            {
                return conversion_id(answer.body);
            }
            sleep(Duration::from_millis(100)).await;
        }
        anyhow::bail!("{txn_id} was not taken within 20 s, although all nodes run")
    }

    #[expect(clippy::future_not_send, reason = "everything runs on one thread")]
    async fn drive(
        &self,
        number: usize,
        book: &RefCell<Book>,
        over: &AtomicBool,
    ) -> anyhow::Result<()> {
        while !over.load(Ordering::SeqCst) {
            let connecting = async { Connection::init(self.address(number)?).await.ok() };
            let Some(mut connection) = connecting.await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            while !over.load(Ordering::SeqCst) {
                let sent = if number.is_multiple_of(CONNECTIONS) {
                    click(&mut connection, book).await?
                } else if number % CONNECTIONS == 1 {
                    self.twin(&mut connection, number, book).await?
                } else {
                    self.postback(&mut connection, book).await?
                };
                if !sent {
                    break;
                }
            }
        }
        Ok(())
    }

    fn address(&self, number: usize) -> Option<SocketAddr> {
        let addresses = self.addresses.lock();
        addresses.unwrap_or_else(PoisonError::into_inner)[number % NODES]
    }

    /// A postback; false if the connection is of no use any more.
    #[expect(clippy::future_not_send, reason = "everything runs on one thread")]
    async fn postback(
        &self,
        connection: &mut Connection,
        book: &RefCell<Book>,
    ) -> anyhow::Result<bool> {
        let txn_id = book.borrow_mut().new_transaction();
        let request = self.request(&txn_id);
        match timeout(ANSWER_MAX, connection.ask(&request)).await {
            Ok(Ok(answer)) if answer.status == 200 => {
                let id = conversion_id(answer.body)?;
                book.borrow_mut().answer(txn_id, id);
                Ok(true)
            }
            Ok(Ok(answer)) => {
                ensure!(answer.status == 503, "{txn_id}: {}", answer.status);
                book.borrow_mut().lose(txn_id);
                sleep(Duration::from_millis(20)).await;
                Ok(true)
            }
            Ok(Err(_)) | Err(_) => {
                book.borrow_mut().lose(txn_id);
                Ok(false)
            }
        }
    }

    /// The same postback to two nodes at once: whoever answers says the same conversion.
    #[expect(clippy::future_not_send, reason = "everything runs on one thread")]
    async fn twin(
        &self,
        connection: &mut Connection,
        number: usize,
        book: &RefCell<Book>,
    ) -> anyhow::Result<bool> {
        let txn_id = book.borrow_mut().new_transaction();
        let request = self.request(&txn_id);
        let other = async {
            let mut connection = Connection::init(self.address(number + 1)?).await.ok()?;
            let asked = timeout(ANSWER_MAX, connection.ask(&request)).await;
            let answer = asked.ok()?.ok()?;
            (answer.status == 200).then(|| conversion_id(answer.body))
        };
        let own = async {
            let asked = timeout(ANSWER_MAX, connection.ask(&request)).await;
            let answer = asked.ok()?.ok()?;
            Some((answer.status == 200).then(|| conversion_id(answer.body)))
        };
        let (own, other) = tokio::join!(own, other);
        let is_of_use = own.is_some();
        let answers = [own.flatten().transpose()?, other.transpose()?];
        let mut answers = answers.into_iter().flatten();
        match (answers.next(), answers.next()) {
            (Some(one), other) => {
                ensure!(
                    other.as_ref().is_none_or(|other| *other == one),
                    "{txn_id} was answered as {one} and as {other:?}"
                );
                book.borrow_mut().answer(txn_id, one);
            }
            (None, _) => book.borrow_mut().lose(txn_id),
        }
        Ok(is_of_use)
    }

    fn request(&self, txn_id: &str) -> Vec<u8> {
        let body = format!(
            r#"{{"event":"sale","value":4990,"currency":"USD","txn_id":"{txn_id}","customer_id":"c-{txn_id}"}}"#
        );
        post("/postback", &self.authorization, &body)
    }
}

#[expect(clippy::future_not_send, reason = "everything runs on one thread")]
async fn click(connection: &mut Connection, book: &RefCell<Book>) -> anyhow::Result<bool> {
    let Ok(Ok(answer)) = timeout(ANSWER_MAX, connection.ask(&get("/abc?sub1=nodes", ""))).await
    else {
        return Ok(false);
    };
    if answer.status != 302 {
        ensure!(
            answer.status == 503,
            "a click was answered {}",
            answer.status
        );
        sleep(Duration::from_millis(20)).await;
        return Ok(true);
    }
    let location = answer.header("location").context("a click is redirected")?;
    let click_id = location.split_once("cid=").context("with its id")?.1;
    book.borrow_mut().answer_click(click_id.to_owned());
    Ok(true)
}

fn conversion_id(body: &[u8]) -> anyhow::Result<String> {
    let answer: Value = serde_json::from_slice(body).context("the answer is JSON")?;
    let id = answer["conversion_id"].as_str().map(str::to_owned);
    id.with_context(|| format!("the answer has no conversion_id: {answer}"))
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

//! Requests from many connections until the server is gone, and the same again afterwards.

use std::{cell::RefCell, io, net::SocketAddr};

use anyhow::{Context as _, ensure};
use rand::{RngExt, rngs::StdRng};
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{
    book::Book,
    support::http::{Connection, get, post},
};

/// How many answered postbacks are sent again after each kill.
const REPEATS: usize = 20;

/// The sender.
pub(crate) struct Load {
    address: SocketAddr,
    authorization: String,
}

impl Load {
    /// To a server, under a token.
    pub(crate) fn new(address: SocketAddr, token: &str) -> Self {
        Self {
            address,
            authorization: format!("Authorization: Bearer {token}\r\n"),
        }
    }

    /// Sends what was lost, and some of what was answered: the first must be taken or recognised,
    /// the others recognised, under the id that was answered before.
    pub(crate) fn repeat(&self, book: &mut Book, random: &mut StdRng) -> anyhow::Result<()> {
        runtime()?.block_on(async {
            let mut connection = Connection::init(self.address).await?;
            for txn_id in book.take_lost() {
                let (status, conversion_id) = self.postback(&mut connection, &txn_id).await?;
                ensure!(
                    status == "ok" || status == "duplicate",
                    "{txn_id} sent again was answered `{status}`"
                );
                book.answer(txn_id, conversion_id);
            }
            for _ in 0..REPEATS {
                let Some((txn_id, conversion_id)) =
                    book.answered_at(random.random_range(0..usize::MAX))
                else {
                    break;
                };
                let answer = self.postback(&mut connection, txn_id).await?;
                ensure!(
                    answer == ("duplicate".to_owned(), conversion_id.clone()),
                    "{txn_id} was answered as {conversion_id}, and sent again as {answer:?}"
                );
            }
            Ok(())
        })
    }

    /// The position of the log's last fact.
    pub(crate) fn head(&self) -> anyhow::Result<u64> {
        runtime()?.block_on(async {
            let mut connection = Connection::init(self.address).await?;
            let answer = connection.ask(&get("/readyz", "")).await?;
            let ready: Value = serde_json::from_slice(answer.body)?;
            ready["log_head"]
                .as_u64()
                .context("the server tells its head")
        })
    }

    /// Drives the server from many connections; `kill` runs beside them on a thread of its own.
    pub(crate) fn until_killed(
        &self,
        book: &mut Book,
        connections: usize,
        kill: impl FnOnce() -> io::Result<()> + Send,
    ) -> anyhow::Result<()> {
        let shared = RefCell::new(std::mem::take(book));
        let driven = std::thread::scope(|scope| {
            let killed = scope.spawn(kill);
            let driven = runtime()?.block_on(async {
                let tasks = (0..connections).map(|number| self.drive(number, &shared));
                futures_util::future::join_all(tasks).await
            });
            killed.join().expect("the killer only waits and kills")?;
            anyhow::Ok(driven)
        });
        *book = shared.into_inner();
        driven?.into_iter().collect()
    }

    #[expect(clippy::future_not_send, reason = "everything runs on one thread")]
    async fn drive(&self, number: usize, book: &RefCell<Book>) -> anyhow::Result<()> {
        // Once the server is gone, connections are refused or break: that is the end of this one.
        let Ok(mut connection) = Connection::init(self.address).await else {
            return Ok(());
        };
        loop {
            if number % 8 == 0 {
                let Ok(answer) = connection.ask(&get("/abc?sub1=crash", "")).await else {
                    return Ok(());
                };
                let location = answer.header("location").context("a click is redirected")?;
                let click_id = location.split_once("cid=").context("with its id")?.1;
                book.borrow_mut().answer_click(click_id.to_owned());
                continue;
            }
            let txn_id = book.borrow_mut().new_transaction();
            let request = self.request(&txn_id);
            match connection.ask(&request).await {
                Ok(answer) => {
                    ensure!(
                        answer.status == 200,
                        "{txn_id} was answered {}",
                        answer.status
                    );
                    let (status, conversion_id) = read(answer.body)?;
                    ensure!(status == "ok", "{txn_id} was answered `{status}`");
                    book.borrow_mut().answer(txn_id, conversion_id);
                }
                Err(_) => {
                    book.borrow_mut().lose(txn_id);
                    return Ok(());
                }
            }
        }
    }

    async fn postback(
        &self,
        connection: &mut Connection,
        txn_id: &str,
    ) -> anyhow::Result<(String, String)> {
        let answer = connection.ask(&self.request(txn_id)).await?;
        read(answer.body).with_context(|| format!("{txn_id} was answered {}", answer.status))
    }

    fn request(&self, txn_id: &str) -> Vec<u8> {
        let body = format!(
            r#"{{"event":"sale","value":4990,"currency":"USD","txn_id":"{txn_id}","customer_id":"c-{txn_id}"}}"#
        );
        post("/postback", &self.authorization, &body)
    }
}

/// Status and conversion id of an answer.
fn read(body: &[u8]) -> anyhow::Result<(String, String)> {
    let answer: Value = serde_json::from_slice(body).context("the answer is JSON")?;
    let text = |name: &str| {
        let text = answer[name].as_str().map(str::to_owned);
        text.with_context(|| format!("the answer has no {name}: {answer}"))
    };
    Ok((text("status")?, text("conversion_id")?))
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
}

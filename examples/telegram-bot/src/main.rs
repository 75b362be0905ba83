//! An agent with a wallet: a Telegram bot that pays from its own account when its owner says so.
//!
//! The account's key exists in the instance alone, and the guest signs within the limits that the app's owner has set on the chain. So
//! neither the host, nor Telegram, nor a flaw in this file can spend more. What is not here: keys, nonces, fees, proofs; the
//! local API has them.

mod telegram;
mod wallet;

use std::{io::Read as _, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

use telegram::{Message, Telegram};
use wallet::Wallet;

/// Pause after a failed exchange with Telegram.
const PAUSE: Duration = Duration::from_secs(2);
/// What the bot answers to what it does not know.
const HELP: &str = "/address — where this agent takes money\n/balance — what it has, in wei, proven\n\
                    /pay 0xADDRESS WEI — its owner alone; within the limits on the chain";

fn main() -> Result<()> {
    // The host closes standard input when the app is to end.
    std::thread::spawn(|| {
        let _ended = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Result<()> {
    let set =
        |name: &str| std::env::var(name).with_context(|| format!("{name} is not set: freehold app secret set {name}"));
    let telegram =
        Telegram::new(&set("TELEGRAM_TOKEN")?, std::env::var("TELEGRAM_API").ok(), std::env::var("TELEGRAM_CA").ok())?;
    let owner: i64 = set("TELEGRAM_OWNER")?.parse().context("TELEGRAM_OWNER is the number of a Telegram user")?;
    let wallet = Wallet::open(&set("FREEHOLD_LOCAL_API")?).await?;
    say(&format!("serving; account {}", wallet.address()));
    let mut after = 0;
    loop {
        match telegram.updates(after).await {
            Ok(updates) => {
                for (id, message) in updates {
                    // Counted first: what makes the bot fall is not met again.
                    after = after.max(id + 1);
                    let Some(message) = message else { continue };
                    let text = answer(&wallet, &message, message.from == owner).await;
                    if let Err(error) = telegram.send(message.chat, &text).await {
                        say(&format!("an answer was not sent: {error}"));
                    }
                }
            }
            Err(error) => {
                say(&format!("no messages: {error}"));
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What the bot says to a message.
async fn answer(wallet: &Wallet, message: &Message, is_owner: bool) -> String {
    let words: Vec<&str> = message.text.split_whitespace().collect();
    match words[..] {
        ["/address"] => wallet.address(),
        ["/balance"] => {
            wallet.balance().await.map_or_else(|error| format!("no balance: {error}"), |wei| format!("{wei} wei"))
        }
        ["/pay", _, _] if !is_owner => "only my owner can have me pay".to_owned(),
        ["/pay", to, wei] => match wallet.pay(to, wei).await {
            Ok(()) => format!("paid {wei} wei to {to}"),
            Err(error) => format!("not paid: {error}"),
        },
        _ => HELP.to_owned(),
    }
}

/// A line in the app's log.
#[allow(clippy::print_stdout, reason = "the app's standard output is its log")]
fn say(line: &str) {
    println!("{line}");
}

/// A member of an object, or a sentence that names it.
fn member<'a>(value: &'a Value, name: &str) -> Result<&'a Value> {
    value.get(name).with_context(|| format!("the answer has no `{name}`"))
}

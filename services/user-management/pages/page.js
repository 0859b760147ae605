// Sends the token of a mailed link. It stands in the fragment, so that no server saw it with the address, and is sent
// only when the button is pressed: programs that look into mail open links too.
"use strict";
const token = new URLSearchParams(location.hash.slice(1)).get("token");
// Out of the address bar and of the history.
history.replaceState(null, "", location.pathname);

const form = document.querySelector("form");
const button = form.querySelector("button");
const status = document.querySelector("[role=status]");

function say(text, failed) {
  status.textContent = text;
  status.className = failed ? "failed" : "";
}

if (!token) {
  form.hidden = true;
  say("This link has lost its token: open it from the mail again.", true);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  try {
    const answer = await fetch(form.dataset.to, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ token, ...Object.fromEntries(new FormData(form)) }),
    });
    if (answer.ok) {
      form.hidden = true;
      say(form.dataset.done, false);
      return;
    }
    const problem = await answer.json();
    if (problem.code === "token_unusable") {
      form.hidden = true;
      say("This link was used before, is older than half an hour, or a newer one was sent: ask for another mail.", true);
      return;
    }
    const fields = (problem.errors ?? []).map((error) => `It ${error.message}.`);
    say([problem.detail ?? `${problem.title}.`, ...fields].join(" "), true);
  } catch {
    say("The shop does not answer. Try again in a moment.", true);
  }
  button.disabled = false;
});

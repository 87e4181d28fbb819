"""What people read when the port turns them away."""

HOST = "This address is not one that the gateway answers to. Open it as it is set in http.host or http.public_url."
ORIGIN = (
    "This request came from another site's page and was not carried out. Open the gateway's own page and try again."
)
LOCAL_ONLY = (
    "This page answers only on the machine that runs the gateway, because {setting} is not set. "
    "Open it there, or ask the operator to set {setting} in config.yaml."
)
CLOSED = (
    "This page is closed, because http.public_url lets strangers come here and {setting} is not set. "
    "Ask the operator to set {setting} in config.yaml."
)
LOCKED = "This page needs the token that the operator set as {setting}. Ask them for it and enter it here."
WRONG = "That token is not right. Check it and enter it again."
TOO_MANY = "Too many wrong tokens. Wait a minute, then try again."
PORT_TAKEN = "Port {port} on {host} is used by another program. Stop it, or set http.port to a free port."
PORT_DENIED = "This user may not open port {port} on {host}. Set http.port to one above 1023."
NO_SUCH_HOST = "{host} is not an address of this machine. Set http.host to one that is, such as 127.0.0.1."

STYLE = """\
:root { color-scheme: light dark; --accent: #b4481e; }
@media (prefers-color-scheme: dark) { :root { --accent: #f0895a; } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; font: 1rem/1.5 system-ui, sans-serif;
  background: light-dark(#f7f4ef, #16130f); color: light-dark(#221d18, #efe9e1); }
main { width: min(24rem, calc(100vw - 3rem)); padding: 2rem 0; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
label { display: block; margin: 1.5rem 0 .4rem; font-weight: 600; }
input, button { box-sizing: border-box; width: 100%; min-height: 2.9rem; padding: .5rem .8rem; border-radius: .7rem; font: inherit; }
input { border: 1px solid light-dark(#cfc6ba, #4a433a); background: light-dark(#fff, #211d18); color: inherit; }
button { margin-top: .8rem; border: 0; background: var(--accent); color: light-dark(#fff, #1b120c); font-weight: 600; cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
"""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Chatelier</title>
<link rel="stylesheet" href="/login/style.css">
</head>
<body><main><h1>Chatelier</h1><p role="status">{words}</p>{form}</main></body>
</html>
"""

FORM = """\
<form method="post" action="/login/{which}">
<label for="token">Token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
<input name="next" type="hidden" value="{next}">
<button>Open</button>
</form>"""

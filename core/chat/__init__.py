"""The neutral chat language: messages, capabilities, markup, fit; inbox, outbox, line, buttons."""

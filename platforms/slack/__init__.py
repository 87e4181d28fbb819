"""Slack, by slack-bolt. docs/slack.md leads from the manifest to the first picture."""

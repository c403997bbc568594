"""What people look at: status, summary, history, news, page and live view."""

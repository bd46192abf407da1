# Servers that a tenant must not be: each listens on a port of 127.0.0.1, in a
# process of its own that dies with the test.
#
# A proxy stands before a real server and mistreats what that one sends: cuts
# it, stalls it, or changes its messages.
package HostileServer;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);

my %children;

# Accept connections and never say anything; after $answer, if one is given.
sub silent
{
	my ($class, $answer) = @_;

	return $class->_serve(sub {
		my ($client) = @_;
		my $bytes;

		sysread($client, $bytes, 8);
		syswrite($client, $answer) if defined $answer;
		sleep 600;
	});
}

# Accept connections, append a line to $file for each, and never say anything.
sub black_hole
{
	my ($class, $file) = @_;

	return $class->_serve(sub {
		my ($client, $number) = @_;

		_append($file, "$number\n");
		sleep 600;
	});
}

# Listen, but accept nothing, with the queue full: to connect takes for ever.
sub unreachable
{
	my ($class) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
	  or die "could not listen: $!";
	my @fillers;

	for (1 .. 8)
	{
		push @fillers, IO::Socket::INET->new(PeerAddr => '127.0.0.1',
			PeerPort => $listener->sockport, Blocking => 0);
	}

	return bless { port => $listener->sockport, keep => [ $listener, @fillers ] }, $class;
}

# Pass the server's messages through $change: called with the bytes of one
# message, the number of the connection (from 1) and a hash of its own; returns
# what goes to the client, undef to cut the connection, and may sleep.
sub proxy
{
	my ($class, $server_port, $change) = @_;

	return $class->_serve(sub {
		my ($client, $number) = @_;
		my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server_port)
		  or die "could not connect to the server: $!";
		my $select = IO::Select->new($client, $server);
		my $pending = '';
		my %state;

		setsockopt($_, IPPROTO_TCP, TCP_NODELAY, 1) for $client, $server;

		while (my @ready = $select->can_read)
		{
			foreach my $from (@ready)
			{
				my $bytes;

				return unless sysread($from, $bytes, 65536);
				if ($from == $client)
				{
					_send($server, $bytes) or return;
					next;
				}
				$pending .= $bytes;
				while (length($pending) >= 5)
				{
					my $length = 1 + unpack('N', substr($pending, 1, 4));
					my $changed;

					last if length($pending) < $length;
					$changed = $change->(substr($pending, 0, $length, ''), $number, \%state, $client);
					return unless defined $changed;
					_send($client, $changed) or return;
				}
			}
		}
	});
}

# Pass bytes of whatever protocol through $change, both ways: called with what
# was read, whether the client said it, the number of the connection and a hash
# of its own; returns what goes on, undef to cut the connection, and may sleep.
sub relay
{
	my ($class, $server_port, $change) = @_;

	return $class->_serve(sub {
		my ($client, $number) = @_;
		my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server_port)
		  or die "could not connect to the server: $!";
		my $select = IO::Select->new($client, $server);
		my %state;

		while (my @ready = $select->can_read)
		{
			foreach my $from (@ready)
			{
				my $bytes;

				return unless sysread($from, $bytes, 65536);
				$bytes = $change->($bytes, $from == $client, $number, \%state, $client);
				return unless defined $bytes;
				_send($from == $client ? $server : $client, $bytes) or return;
			}
		}
	});
}

# Pass everything, and append to $file what each client cost: a line each time
# that one speaks after its server did, which is a round trip.
sub counting_proxy
{
	my ($class, $server_port, $file) = @_;

	return $class->_serve(sub {
		my ($client, $number) = @_;
		my $server = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $server_port)
		  or die "could not connect to the server: $!";
		my $select = IO::Select->new($client, $server);
		my $speaker = $server;

		setsockopt($_, IPPROTO_TCP, TCP_NODELAY, 1) for $client, $server;
		while (my @ready = $select->can_read)
		{
			# The client's last word came before the server's answer to it.
			foreach my $from (sort { ($b == $speaker) <=> ($a == $speaker) } @ready)
			{
				my $bytes;

				return unless sysread($from, $bytes, 65536);
				_append($file, "$number\n") if $from == $client && $speaker == $server;
				$speaker = $from;
				_send($from == $client ? $server : $client, $bytes) or return;
			}
		}
	});
}

# Cut the server's stream to connection n after n x $step bytes.
sub cutting_proxy
{
	my ($class, $server_port, $step) = @_;

	return $class->proxy($server_port, sub {
		my ($message, $number, $state, $client) = @_;
		my $left = ($number - 1) * $step - ($state->{sent} // 0);

		$state->{sent} += length $message;
		return $message if length $message <= $left;
		_send($client, substr($message, 0, $left));
		return undef;
	});
}

sub port
{
	my ($self) = @_;

	return $self->{port};
}

sub stop
{
	my ($self) = @_;

	return unless $self->{pid} && delete $children{ $self->{pid} };
	_end($self->{pid});

	return;
}

sub _end
{
	my ($pid) = @_;

	kill '-KILL', $pid;
	waitpid $pid, 0;

	return;
}

sub _append
{
	my ($file, $text) = @_;

	open(my $fh, '>>', $file) or die "$file: $!";
	print $fh $text;
	close $fh;

	return;
}

sub _send
{
	my ($socket, $bytes) = @_;

	while (length $bytes)
	{
		my $sent = syswrite($socket, $bytes);

		return 0 unless $sent;
		substr($bytes, 0, $sent, '');
	}

	return 1;
}

# Serve connections in a process group of their own.
sub _serve
{
	my ($class, $handler) = @_;
	my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 16)
	  or die "could not listen: $!";
	my $parent = $$;
	my $pid = fork // die "could not fork: $!";

	if ($pid == 0)
	{
		my $number = 0;

		setpgrp;
		$SIG{PIPE} = $SIG{CHLD} = 'IGNORE';
		%children = ();
		while (my $client = $listener->accept)
		{
			$number++;
			if (!fork)
			{
				$handler->($client, $number);
				POSIX::_exit(0);
			}
			$client->close;
		}
		POSIX::_exit(0);
	}
	$children{$pid} = 1;

	return bless { port => $listener->sockport, pid => $pid }, $class;
}

END
{
	my $status = $?;

	_end($_) for keys %children;
	$? = $status;
}

1;
